// Listings for tests, made in memory: of names and shapes alone, and of a checkpoint with a tree and values.
#pragma once

#include <cstring>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <tenon/listing.hpp>

#include "formats/core.hpp"

namespace tenon::test {

struct Row {
  std::string name;
  Shape shape;
  DType dtype = DType::Float32;
};

inline Listing listing_of(const std::vector<Row>& rows, std::string label = "listing") {
  Listing listing;
  listing.label = std::move(label);
  for (const Row& row : rows) listing.tensors.push_back({row.name, row.dtype, row.shape, Role::Unknown, {}});
  return listing;
}

/// A checkpoint in memory. `path` is the container of the tensor ("" for the top); the containers on the way are made
/// as dicts.
struct Stored {
  std::string path;
  std::string key;
  Shape shape;
  std::vector<double> values;  ///< repeated until the tensor is full; empty: 0, 1, 2, ...
  DType dtype = DType::Float32;
};

class CheckpointMaker {
 public:
  CheckpointMaker() : core_(std::make_shared<formats::CheckpointCore>()) {
    core_->file = "memory.pth";
    core_->containers.push_back({"", ContainerKind::Mapping, "dict", 0, "", false, 0});
  }

  CheckpointMaker& add(const Stored& stored) {
    const std::uint32_t container = container_at(stored.path);
    TensorInfo info;
    info.name = stored.path.empty() ? stored.key : stored.path + "." + stored.key;
    info.key_begin = static_cast<std::uint32_t>(info.name.size() - stored.key.size());
    info.dtype = stored.dtype;
    info.shape = stored.shape;
    info.stride = dense_stride(stored.shape);
    info.storage = static_cast<std::uint32_t>(core_->storages.size());
    info.container = container;
    ++core_->containers[container].tensor_count;
    std::vector<std::byte> bytes = bytes_of(stored);
    core_->storages.push_back({std::to_string(core_->storages.size()), "", bytes.size(), "cpu"});
    formats::StorageBytes owned;
    owned.own(bytes);
    core_->storage_bytes.push_back(std::move(owned));
    core_->tensors.push_back(std::move(info));
    return *this;
  }

  CheckpointMaker& object(std::string name, std::int64_t value) {
    Object object;
    object.name = std::move(name);
    object.value.is = value;
    core_->objects.push_back(std::move(object));
    return *this;
  }

  CheckpointMaker& format(Format format) {
    core_->format = format;
    return *this;
  }

  CheckpointMaker& kind(const std::string& path, ContainerKind kind, std::string type) {
    Container& container = core_->containers[container_at(path)];
    container.kind = kind;
    container.type = std::move(type);
    return *this;
  }

  Checkpoint make() const { return Checkpoint(core_); }
  Listing listing() const { return list(make()); }

 private:
  std::uint32_t container_at(const std::string& path) {
    for (std::size_t i = 0; i < core_->containers.size(); ++i)
      if (core_->containers[i].path == path) return static_cast<std::uint32_t>(i);
    const auto dot = path.rfind('.');
    const std::string above = dot == std::string::npos ? "" : path.substr(0, dot);
    const std::uint32_t parent = container_at(above);
    core_->containers.push_back({path, ContainerKind::Mapping, "dict", parent,
                                 dot == std::string::npos ? path : path.substr(dot + 1), false, 0});
    return static_cast<std::uint32_t>(core_->containers.size() - 1);
  }

  static std::vector<std::byte> bytes_of(const Stored& stored) {
    const auto count = static_cast<std::size_t>(element_count(stored.shape));
    std::vector<double> wide(count);
    for (std::size_t i = 0; i < count; ++i)
      wide[i] = stored.values.empty() ? static_cast<double>(i) : stored.values[i % stored.values.size()];
    std::vector<std::byte> bytes(count * sizeof(double));
    if (count > 0) std::memcpy(bytes.data(), wide.data(), bytes.size());
    if (stored.dtype == DType::Float64) return bytes;
    const Tensor narrow = cast(make_tensor(DType::Float64, stored.shape, std::move(bytes)), stored.dtype);
    std::vector<std::byte> result(byte_size(stored.shape, stored.dtype));
    copy_dense(narrow, result);
    return result;
  }

  std::shared_ptr<formats::CheckpointCore> core_;
};

/// A small ResNet-like model: `blocks` blocks of convolution and batch norm, then `fc`.
inline std::vector<Row> small_net(int blocks = 4, std::int64_t classes = 10, const std::string& head = "fc") {
  std::vector<Row> rows{{"conv1.weight", {16, 3, 3, 3}}};
  for (int i = 0; i < blocks; ++i) {
    const std::string block = "layer" + std::to_string(i / 2 + 1) + "." + std::to_string(i % 2) + ".";
    rows.push_back({block + "conv1.weight", {16, 16, 3, 3}});
    for (const char* leaf : {"weight", "bias", "running_mean", "running_var"})
      rows.push_back({block + "bn1." + leaf, {16}});
    rows.push_back({block + "bn1.num_batches_tracked", {}, DType::Int64});
  }
  rows.push_back({head + ".weight", {classes, 16}});
  rows.push_back({head + ".bias", {classes}});
  return rows;
}

inline std::vector<Row> prefixed(std::vector<Row> rows, const std::string& prefix) {
  for (Row& row : rows) row.name = prefix + row.name;
  return rows;
}

}  // namespace tenon::test
