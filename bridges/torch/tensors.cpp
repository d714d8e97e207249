#include "torch/tensors.hpp"

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <functional>
#include <memory>
#include <span>
#include <utility>
#include <vector>

#include "torch/dtypes.hpp"
#include "torch/workers.hpp"

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

bool is_dense_on_cpu(const ::torch::Tensor& live) {
  return live.is_cpu() && live.is_contiguous() && !live.is_conj() && !live.is_neg();
}

std::span<std::byte> memory_of(const ::torch::Tensor& live) {
  return {static_cast<std::byte*>(live.data_ptr()),
          static_cast<std::size_t>(extent(live)) * static_cast<std::size_t>(live.element_size())};
}

Tensor borrow(const ::torch::Tensor& live) {
  auto here = std::make_shared<::torch::Tensor>(live.detach().resolve_conj().resolve_neg().to(::torch::kCPU));
  Tensor tensor;
  tensor.dtype = *dtype_of(here->scalar_type());
  tensor.shape = here->sizes().vec();
  tensor.stride = here->strides().vec();
  tensor.storage = memory_of(*here);
  tensor.owner = std::move(here);
  return tensor;
}

void Copier::prepare(Tensor& stored, DType live) {
  if (!scalar_type_of(stored.dtype)) stored = cast(stored, live);
  if (!readable_in_place(stored))
    buffer_.resize(std::max<std::size_t>(buffer_.size(), byte_size(stored.shape, stored.dtype)));
}

namespace {

bool is_same_bytes(const ::torch::Tensor& live, const TensorView& stored) {
  return is_dense_on_cpu(live) && scalar_type_of(stored.dtype) == live.scalar_type() && is_dense(stored);
}

}  // namespace

void Copier::copy(const ::torch::Tensor& live, const TensorView& stored) {
  if (element_count(stored.shape) == 0) return;
  if (is_same_bytes(live, stored)) {
    live.unsafeGetTensorImpl()->bump_version();  // as copy_ does: a backward pass over older values must notice
    runs_.push_back({static_cast<std::byte*>(live.data_ptr()), stored.storage.data() + stored.offset_bytes,
                     static_cast<std::size_t>(byte_size(stored.shape, stored.dtype))});
    return;
  }
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

/// Sorts the runs by where they go; of tied tensors, which go to one place, one stays: their values are equal.
bool Copier::any_overlap() {
  const auto same_place = [](const Run& a, const Run& b) { return a.to == b.to && a.count == b.count; };
  std::sort(runs_.begin(), runs_.end(),
            [](const Run& a, const Run& b) { return a.to != b.to ? std::less<>{}(a.to, b.to) : a.count < b.count; });
  runs_.erase(std::unique(runs_.begin(), runs_.end(), same_place), runs_.end());
  for (std::size_t i = 1; i < runs_.size(); ++i)
    if (std::less<>{}(runs_[i].to, runs_[i - 1].to + runs_[i - 1].count)) return true;
  return false;
}

void Copier::finish() {
  constexpr std::size_t kPiece = std::size_t{1} << 20U;  // the last piece keeps one thread waiting, so it is small
  const std::vector<Run> in_order = runs_;
  if (any_overlap()) {  // views into each other: the last one wins, as it does one by one
    for (const Run& run : in_order) std::memcpy(run.to, run.from, run.count);
  } else {
    std::vector<Run> pieces;
    for (const Run& run : runs_)
      for (std::size_t at = 0; at < run.count; at += kPiece)
        pieces.push_back({run.to + at, run.from + at, std::min(kPiece, run.count - at)});
    for_each_in_parallel(pieces.size(),
                         [&](std::size_t i) { std::memcpy(pieces[i].to, pieces[i].from, pieces[i].count); });
  }
  runs_.clear();
}

}  // namespace tenon::torch_bridge
