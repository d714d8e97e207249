#include "torch/tensors.hpp"

#include <algorithm>
#include <cstdint>
#include <memory>
#include <span>
#include <utility>
#include <vector>

#include "torch/dtypes.hpp"

namespace tenon::torch_bridge {
namespace {

/// Elements from the first to the last, gaps included.
std::int64_t extent(const ::torch::Tensor& live) {
  if (live.numel() == 0) return 0;
  std::int64_t last = 0;
  for (std::int64_t axis = 0; axis < live.dim(); ++axis) last += (live.size(axis) - 1) * live.stride(axis);
  return last + 1;
}

bool aligned(const std::byte* first, std::int64_t bytes) {
  return bytes == 0 || reinterpret_cast<std::uintptr_t>(first) % static_cast<std::uintptr_t>(bytes) == 0;
}

/// LibTorch can read it where it lies: known dtype, its byte order, no lazy bits, aligned elements.
bool readable_in_place(const TensorView& stored) {
  return scalar_type_of(stored.dtype).has_value() && stored.encoding.is_plain() &&
         aligned(stored.storage.data() + stored.offset_bytes, dtype_bytes(stored.dtype));
}

/// A live tensor over the stored bytes, for reading only: from_blob has no const form.
::torch::Tensor over(const TensorView& stored) {
  const auto* first = stored.storage.data() + stored.offset_bytes;
  return ::torch::from_blob(const_cast<std::byte*>(first), stored.shape, stored.stride,
                            ::torch::TensorOptions().dtype(*scalar_type_of(stored.dtype)));
}

}  // namespace

Tensor borrow(const ::torch::Tensor& live) {
  auto here = std::make_shared<::torch::Tensor>(live.detach().resolve_conj().resolve_neg().to(::torch::kCPU));
  const auto itemsize = static_cast<std::size_t>(here->element_size());
  Tensor tensor;
  tensor.dtype = *dtype_of(here->scalar_type());
  tensor.shape = here->sizes().vec();
  tensor.stride = here->strides().vec();
  tensor.storage = {static_cast<const std::byte*>(here->data_ptr()),
                    static_cast<std::size_t>(extent(*here)) * itemsize};
  tensor.owner = std::move(here);
  return tensor;
}

void Copier::prepare(Tensor& stored, DType live) {
  if (!scalar_type_of(stored.dtype)) stored = cast(stored, live);
  if (!readable_in_place(stored))
    buffer_.resize(std::max<std::size_t>(buffer_.size(), byte_size(stored.shape, stored.dtype)));
}

void Copier::copy(const ::torch::Tensor& live, const TensorView& stored) {
  if (element_count(stored.shape) == 0) return;
  const ::torch::NoGradGuard no_grad;
  if (readable_in_place(stored)) {
    live.detach().copy_(over(stored));
    return;
  }
  const std::span<std::byte> dense = std::span(buffer_).first(byte_size(stored.shape, stored.dtype));
  copy_dense(stored, dense);
  TensorView readable;
  readable.dtype = stored.dtype;
  readable.shape = stored.shape;
  readable.stride = dense_stride(stored.shape);
  readable.storage = dense;
  live.detach().copy_(over(readable));
}

}  // namespace tenon::torch_bridge
