// Snapshot: everything that is to be saved at once, as a lazy stream: names, types and a way to get each tensor's
// bytes.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <tenon/checkpoint.hpp>
#include <tenon/export.hpp>
#include <tenon/tensor.hpp>
#include <tenon/value.hpp>

namespace tenon {

struct SnapshotTensor {
  std::string name;
  DType dtype = DType::Float32;
  Shape shape;
  std::function<Tensor()> load;  ///< called when it is written; may be called twice and gives equal bytes both times
  std::optional<std::uint64_t> storage;  ///< tensors with equal values share one storage; empty: its own
  std::uint32_t container = 0;
  std::uint32_t key_begin = 0;
  bool integer_key = false;
  std::optional<bool> requires_grad;
  bool placeholder = false;  ///< it has a shape and no bytes (meta tensors): saving refuses it

  std::string_view key() const { return std::string_view(name).substr(key_begin); }
};

struct Snapshot {
  std::vector<Container> containers;  ///< container 0 is the top; a flat state dict has only that one
  std::vector<SnapshotTensor> tensors;
  std::vector<Object> objects;
  std::vector<std::pair<std::string, std::string>> metadata;  ///< for formats that have room for text
  std::string blueprint_json;                                 ///< stored inside the checkpoint; "" for none
};

/// The whole content of a checkpoint. Keeps it open; O(tensors).
TENON_API Snapshot snapshot(const Checkpoint& checkpoint);

/// A flat state dict: adds a tensor to the top container.
TENON_API void add_tensor(Snapshot& snapshot, std::string name, Tensor tensor);

}  // namespace tenon
