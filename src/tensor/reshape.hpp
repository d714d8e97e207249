// Views of views: axes permuted, elements under another shape, a part of an axis. Nothing is computed; bytes are copied
// only where a new shape needs them dense.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include <tenon/tensor.hpp>

namespace tenon::tensor {

/// The same elements with dense strides: the tensor itself if it is dense, else a copy. Elements of any width.
Tensor densely(const Tensor& tensor);

/// Result axis i is axis dims[i]; `dims` is a permutation of the axes. O(1).
Tensor permuted(const Tensor& tensor, std::span<const std::size_t> dims);

/// Row-major elements under `shape`, which has as many.
Tensor viewed(const Tensor& tensor, const Shape& shape);

/// `length` positions of axis `dim` from `first` on, all within the axis. O(1) for elements of whole bytes.
Tensor sliced(const Tensor& tensor, std::size_t dim, std::int64_t first, std::int64_t length);

/// Tensors of one dtype whose shapes are equal but for axis `dim`, one behind the other along it. At least one.
Tensor concatenated(std::span<const Tensor> parts, std::size_t dim);

}  // namespace tenon::tensor
