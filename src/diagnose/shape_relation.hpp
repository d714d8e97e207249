// How two shapes of one tensor are related: what their extents alone tell.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include <tenon/tensor.hpp>

namespace tenon::diagnosis {

/// The axis along which alone the shapes differ.
std::optional<std::size_t> only_axis(const Shape& a, const Shape& b);

/// Equal once extents of 1 are taken out of both.
bool equal_when_squeezed(const Shape& a, const Shape& b);

/// A permutation `p` with `b[i] == a[p[i]]`, other than the identity; the first in lexicographic order.
std::optional<std::vector<std::size_t>> permutation(const Shape& a, const Shape& b);

/// True where every extent of `b` is that of `a` or `a` times num/den, and one differs.
bool scaled_by(const Shape& a, const Shape& b, std::int64_t num, std::int64_t den);

/// Product of the extents; 0 when one is 0. Saturates.
std::int64_t element_count(const Shape& shape);

/// A tensor without content that stands for one elsewhere: [0] (ZeRO-3, lazy modules), or [1] beside a larger one.
bool is_empty_shape(const Shape& shape);

}  // namespace tenon::diagnosis
