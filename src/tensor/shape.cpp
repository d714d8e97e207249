// Sizes and strides, with every multiplication checked: extents come from files.
#include <tenon/tensor.hpp>

#include <tenon/error.hpp>

#include <algorithm>
#include <limits>
#include <utility>

#include "base/text.hpp"

namespace tenon {

namespace {

constexpr auto kMost = std::numeric_limits<std::int64_t>::max();

[[noreturn]] void refuse(const Shape& shape, const char* what, std::string expected) {
  throw Error(Code::Corrupt, Where{}, what, std::move(expected), base::shape_text(shape));
}

}  // namespace

std::int64_t element_count(const Shape& shape) {
  std::int64_t count = 1;
  for (const std::int64_t extent : shape) {
    if (extent < 0) refuse(shape, "an extent of the shape is negative", "extents of 0 and more");
    if (__builtin_mul_overflow(count, extent, &count))
      refuse(shape, "the shape has more elements than 64 bits count", "fewer than 2^63");
  }
  return count;
}

std::uint64_t byte_size(const Shape& shape, DType dtype) {
  const std::int64_t count = element_count(shape);
  const int bits = dtype_bits(dtype);
  if (bits % 8 == 0) {
    const DTypeBlock block = dtype_block(dtype);
    std::int64_t bytes = count / block.elements + (count % block.elements != 0 ? 1 : 0);
    if (__builtin_mul_overflow(bytes, block.bytes, &bytes))
      refuse(shape, "the tensor has more bytes than 64 bits count", "fewer than 2^63");
    return static_cast<std::uint64_t>(bytes);
  }
  if (count > (kMost - 7) / bits) refuse(shape, "the tensor has more bytes than 64 bits count", "fewer than 2^63");
  return static_cast<std::uint64_t>((count * bits + 7) / 8);
}

Stride dense_stride(const Shape& shape) {
  Stride stride(shape.size());
  std::int64_t step = 1;
  for (std::size_t axis = shape.size(); axis-- > 0;) {
    stride[axis] = step;
    // Saturates for a shape without elements whose other extents are absurd; no element is ever addressed there.
    if (__builtin_mul_overflow(step, std::max<std::int64_t>(shape[axis], 1), &step)) step = kMost;
  }
  return stride;
}

bool is_dense(const TensorView& view) {
  if (!view.encoding.is_plain() && !is_block_dtype(view.dtype)) return false;  // blocks are handed over as stored
  std::int64_t step = 1;
  for (std::size_t axis = view.shape.size(); axis-- > 0;) {
    if (view.shape[axis] == 0) return true;
    if (view.shape[axis] != 1 && view.stride[axis] != step) return false;
    step *= view.shape[axis];
  }
  return true;
}

Tensor make_tensor(DType dtype, Shape shape, std::vector<std::byte> bytes) {
  TENON_ASSERT(bytes.size() == byte_size(shape, dtype));
  auto owner = std::make_shared<const std::vector<std::byte>>(std::move(bytes));
  Tensor tensor;
  tensor.dtype = dtype;
  tensor.stride = dense_stride(shape);
  tensor.shape = std::move(shape);
  tensor.storage = *owner;
  tensor.owner = std::move(owner);
  return tensor;
}

}  // namespace tenon
