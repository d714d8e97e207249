// Interpolation of regular grids along single axes; two-dimensional ones are two passes, one for each axis.
//
// Source: PyTorch, aten/src/ATen/native/UpSample.h, with align_corners=False: the source of position i is
// (i + 0.5) * from / to - 0.5; cubic convolution with A = -0.75; positions beyond the border are the border's.
#pragma once

#include <cstdint>
#include <vector>

#include <tenon/recipe.hpp>

namespace tenon::tensor {

/// `values` is [outer, from, inner], row-major; the result [outer, to, inner]. from and to are at least 1.
std::vector<double> interpolated(const std::vector<double>& values, std::int64_t outer, std::int64_t from,
                                 std::int64_t to, std::int64_t inner, ResizeMode mode);

}  // namespace tenon::tensor
