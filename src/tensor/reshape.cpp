#include "tensor/reshape.hpp"

#include <tenon/error.hpp>

#include <algorithm>
#include <cstring>
#include <functional>
#include <numeric>
#include <utility>

namespace tenon::tensor {

Tensor densely(const Tensor& tensor) {
  if (is_dense(tensor)) return tensor;
  std::vector<std::byte> bytes(byte_size(tensor.shape, tensor.dtype));
  copy_dense(tensor, bytes);
  return make_tensor(tensor.dtype, tensor.shape, std::move(bytes));
}

Tensor permuted(const Tensor& tensor, std::span<const std::size_t> dims) {
  TENON_ASSERT(dims.size() == tensor.shape.size());
  Tensor result = tensor;
  for (std::size_t i = 0; i < dims.size(); ++i) {
    result.shape[i] = tensor.shape[dims[i]];
    result.stride[i] = tensor.stride[dims[i]];
  }
  return result;
}

Tensor viewed(const Tensor& tensor, const Shape& shape) {
  TENON_ASSERT(element_count(shape) == element_count(tensor.shape));
  Tensor result = densely(tensor);
  result.stride = dense_stride(shape);
  result.shape = shape;
  return result;
}

Tensor sliced(const Tensor& tensor, std::size_t dim, std::int64_t first, std::int64_t length) {
  TENON_ASSERT(first >= 0 && length >= 0 && length <= tensor.shape[dim] - first);
  Tensor result = tensor;
  result.shape[dim] = length;
  if (element_count(result.shape) == 0) return result;  // no element, no place
  result.offset_bytes += static_cast<std::uint64_t>(first) * static_cast<std::uint64_t>(tensor.stride[dim]) *
                         static_cast<std::uint64_t>(dtype_bytes(tensor.dtype));
  return result;
}

Tensor concatenated(std::span<const Tensor> parts, std::size_t dim) {
  Shape shape = parts.front().shape;
  shape[dim] = 0;
  for (const Tensor& part : parts) shape[dim] += part.shape[dim];
  const DType dtype = parts.front().dtype;
  std::vector<std::byte> bytes(byte_size(shape, dtype));
  const auto product = [&](auto from, auto to) {
    return static_cast<std::size_t>(std::accumulate(from, to, std::int64_t{1}, std::multiplies<>()));
  };
  const auto at = shape.begin() + static_cast<std::ptrdiff_t>(dim);
  const std::size_t outer = product(shape.begin(), at);
  const std::size_t inner = product(at + 1, shape.end()) * static_cast<std::size_t>(dtype_bytes(dtype));
  const std::size_t row_bytes = static_cast<std::size_t>(shape[dim]) * inner;
  std::size_t column = 0;  // bytes of a row that earlier parts fill
  for (const Tensor& part : parts) {
    const std::size_t piece = static_cast<std::size_t>(part.shape[dim]) * inner;
    std::size_t filled = 0;  // bytes of this part that were handed over
    for_each_block(part, [&](std::span<const std::byte> block) {
      while (!block.empty()) {
        const std::size_t row = filled / piece, within = filled % piece;
        const std::size_t count = std::min(block.size(), piece - within);
        std::memcpy(bytes.data() + row * row_bytes + column + within, block.data(), count);
        filled += count;
        block = block.subspan(count);
      }
    });
    TENON_ASSERT(filled == outer * piece);
    column += piece;
  }
  return make_tensor(dtype, std::move(shape), std::move(bytes));
}

}  // namespace tenon::tensor
