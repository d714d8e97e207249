// A checkpoint that never was a file: for tests that need tensors, objects and warnings and no format.
#pragma once

#include <cstddef>
#include <cstring>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <tenon/checkpoint.hpp>

#include "formats/core.hpp"

namespace tenon::test {

class MemoryCheckpoint {
 public:
  explicit MemoryCheckpoint(std::string file = "memory.pt") : core_(std::make_shared<formats::CheckpointCore>()) {
    core_->file = std::move(file);
    core_->containers.push_back({.path = {}, .type = "dict", .parent = 0, .key = {}});
  }

  /// A dense tensor with a storage of its own.
  template <class Element>
  MemoryCheckpoint& add(const std::string& name, DType dtype, const Shape& shape, const std::vector<Element>& values) {
    std::vector<std::byte> bytes(values.size() * sizeof(Element));
    if (!bytes.empty()) std::memcpy(bytes.data(), values.data(), bytes.size());
    return add_view(name, dtype, shape, dense_stride(shape), std::move(bytes));
  }

  MemoryCheckpoint& add_view(const std::string& name, DType dtype, const Shape& shape, const Stride& stride,
                             std::vector<std::byte> bytes) {
    TensorInfo& info = add_row(name, dtype, shape, stride);
    info.storage = static_cast<std::uint32_t>(core_->storages.size());
    core_->storages.push_back({.id = "", .member = {}, .nbytes = bytes.size(), .device = "cpu"});
    formats::StorageBytes& place = core_->storage_bytes.emplace_back();
    place.own(bytes);
    return *this;
  }

  /// A tensor of the meta device: a shape and no bytes.
  MemoryCheckpoint& add_meta(const std::string& name, DType dtype, const Shape& shape) {
    add_row(name, dtype, shape, dense_stride(shape));
    return *this;
  }

  MemoryCheckpoint& add_object(const std::string& name, Value value) {
    core_->objects.push_back({.name = name, .value = std::move(value)});
    return *this;
  }

  formats::CheckpointCore& core() { return *core_; }
  Checkpoint checkpoint() const { return Checkpoint(core_); }

 private:
  TensorInfo& add_row(const std::string& name, DType dtype, const Shape& shape, const Stride& stride) {
    TensorInfo& info = core_->tensors.emplace_back();
    info.name = name;
    info.dtype = dtype;
    info.shape = shape;
    info.stride = stride;
    ++core_->containers.front().tensor_count;
    return info;
  }

  std::shared_ptr<formats::CheckpointCore> core_;
};

}  // namespace tenon::test
