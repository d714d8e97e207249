#include <tenon/snapshot.hpp>

#include <utility>

#include <tenon/error.hpp>

namespace tenon {

Snapshot snapshot(const Checkpoint& checkpoint) {
  Snapshot result;
  result.containers.assign(checkpoint.containers().begin(), checkpoint.containers().end());
  result.objects.assign(checkpoint.objects().begin(), checkpoint.objects().end());
  result.metadata.assign(checkpoint.metadata().begin(), checkpoint.metadata().end());
  // The size of all shards belongs to the index, which a save writes anew.
  if (checkpoint.format() == Format::SafetensorsSharded || checkpoint.format() == Format::PytorchSharded)
    std::erase_if(result.metadata, [](const auto& row) { return row.first == "total_size"; });
  result.blueprint_json = checkpoint.blueprint_json();
  for (std::size_t i = 0; i < checkpoint.tensors().size(); ++i) {
    const TensorInfo& info = checkpoint.tensors()[i];
    SnapshotTensor& tensor = result.tensors.emplace_back();
    tensor.name = info.name;
    tensor.dtype = info.dtype;
    tensor.shape = info.shape;
    tensor.load = [checkpoint, i] { return checkpoint.tensor(i); };
    if (info.storage != kNoStorage) tensor.storage = info.storage;
    tensor.container = info.container;
    tensor.key_begin = info.key_begin;
    tensor.integer_key = info.integer_key;
    tensor.requires_grad = info.requires_grad;
    tensor.placeholder = info.storage == kNoStorage && info.dtype != DType::String;  // writers refuse text by type
  }
  return result;
}

void add_tensor(Snapshot& snapshot, std::string name, Tensor tensor) {
  if (snapshot.containers.empty()) snapshot.containers.push_back({.path = {}, .type = "dict", .parent = 0, .key = {}});
  ++snapshot.containers.front().tensor_count;
  SnapshotTensor& added = snapshot.tensors.emplace_back();
  added.name = std::move(name);
  added.dtype = tensor.dtype;
  added.shape = tensor.shape;
  added.load = [tensor = std::move(tensor)] { return tensor; };
}

}  // namespace tenon
