#include "render/overview.hpp"

#include <limits>

#include "base/checked.hpp"

namespace tenon::rendering {

namespace {

std::uint64_t sum(std::uint64_t a, std::uint64_t b) {
  return base::checked_add(a, b).value_or(std::numeric_limits<std::uint64_t>::max());
}

/// The container whose state dict the tensors of `index` belong to: for a module, the outermost module around it.
std::size_t owner(std::span<const Container> containers, std::size_t index) {
  while (index != 0 && containers[index].kind == ContainerKind::Module &&
         containers[containers[index].parent].kind == ContainerKind::Module)
    index = containers[index].parent;
  return index;
}

}  // namespace

std::vector<StateDict> state_dicts(const Checkpoint& checkpoint) {
  const auto containers = checkpoint.containers();
  std::vector<std::uint64_t> counts(containers.size(), 0);
  for (std::size_t i = 0; i < containers.size(); ++i) {
    const ContainerKind kind = containers[i].kind;
    if (kind != ContainerKind::Mapping && kind != ContainerKind::Module) continue;
    counts[owner(containers, i)] += containers[i].tensor_count;
  }
  std::vector<StateDict> found;
  for (std::size_t i = 0; i < containers.size(); ++i)
    if (counts[i] > 0) found.push_back({containers[i].path, counts[i]});
  return found;
}

std::uint64_t tensor_bytes(const Checkpoint& checkpoint, const TensorInfo& info) {
  if (info.dtype == DType::Unknown && info.storage != kNoStorage) return checkpoint.storages()[info.storage].nbytes;
  return byte_size(info.shape, info.dtype);
}

std::uint64_t bytes_of(const Checkpoint& checkpoint, std::size_t count) {
  std::uint64_t bytes = 0;
  for (const TensorInfo& info : checkpoint.tensors().first(count)) bytes = sum(bytes, tensor_bytes(checkpoint, info));
  return bytes;
}

Totals totals(const Checkpoint& checkpoint) {
  Totals result;
  result.tensors = checkpoint.tensors().size();
  result.bytes = bytes_of(checkpoint, checkpoint.tensors().size());
  for (const TensorInfo& info : checkpoint.tensors())
    result.parameters = sum(result.parameters, static_cast<std::uint64_t>(element_count(info.shape)));
  return result;
}

std::uint64_t sharing_tensors(const Checkpoint& checkpoint) {
  std::vector<std::uint64_t> users(checkpoint.storages().size(), 0);
  for (const TensorInfo& info : checkpoint.tensors())
    if (info.storage != kNoStorage) ++users[info.storage];
  std::uint64_t sharing = 0;
  for (const std::uint64_t count : users) sharing += count > 1 ? count : 0;
  return sharing;
}

}  // namespace tenon::rendering
