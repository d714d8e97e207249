// Numbers: elements of any real dtype as doubles and back. Computed tensors are computed in double precision and
// rounded once.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include <tenon/tensor.hpp>

namespace tenon::tensor {

/// The elements in row-major order. For real dtypes with can_cast; 64-bit integers beyond 2^53 are rounded.
std::vector<double> numbers(const TensorView& view);

/// The elements of a dense tensor of this dtype and shape, rounded to nearest; integers to the nearest whole number.
Tensor from_numbers(std::span<const double> values, DType dtype, Shape shape);

/// The product of the extents [from, to).
std::int64_t extent_product(const Shape& shape, std::size_t from, std::size_t to);

}  // namespace tenon::tensor
