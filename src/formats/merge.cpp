#include "formats/merge.hpp"

#include <algorithm>
#include <cstdint>
#include <iterator>
#include <utility>

namespace tenon::formats {

namespace {

/// How numbers and names of a part change on the way.
class Moved {
 public:
  Moved(const CheckpointCore& into, const std::string& prefix)
      : files_(static_cast<std::uint32_t>(into.files.size())),
        storages_(static_cast<std::uint32_t>(into.storages.size())),
        containers_(static_cast<std::uint32_t>(into.containers.size())),
        prefix_(prefix) {}

  std::uint32_t file(std::uint32_t index) const { return files_ + index; }
  std::uint32_t storage(std::uint32_t index) const { return index == kNoStorage ? kNoStorage : storages_ + index; }
  std::uint32_t container(std::uint32_t index) const {
    if (!prefix_.empty()) return containers_ + index;
    return index == 0 ? 0 : containers_ + index - 1;
  }
  std::string name(const std::string& name) const {
    if (prefix_.empty()) return name;
    return name.empty() ? prefix_ : prefix_ + "." + name;
  }

  /// A tensor or an object. What is itself the part's top object goes into the top of the whole.
  template <class Row>
  void row(Row& row) const {
    const bool is_top = row.name.empty() && !prefix_.empty();
    row.key_begin += prefix_.empty() || is_top ? 0U : static_cast<std::uint32_t>(prefix_.size() + 1);
    row.container = is_top ? 0 : container(row.container);
    row.name = name(row.name);
  }

 private:
  std::uint32_t files_, storages_, containers_;
  const std::string& prefix_;
};

/// The top object is a tensor or a plain value, not a container of them.
bool is_bare(const CheckpointCore& part) {
  return part.containers.empty() ||
         (part.containers.size() == 1 && part.containers.front().kind == ContainerKind::TensorParts);
}

void move_containers(CheckpointCore& into, std::vector<Container>& containers, const Moved& moved, bool has_prefix,
                     const std::string& prefix) {
  for (std::size_t i = 0; i < containers.size(); ++i) {
    Container& container = containers[i];
    if (i == 0 && !has_prefix) {
      into.containers.front().tensor_count += container.tensor_count;
      continue;
    }
    container.parent = i == 0 ? 0 : moved.container(container.parent);
    container.path = moved.name(container.path);
    if (i == 0) container.key = prefix;
    into.containers.push_back(std::move(container));
  }
}

}  // namespace

void merge(CheckpointCore& into, CheckpointCore&& part, const std::string& prefix) {
  if (into.containers.empty()) into.containers.push_back({.path = {}, .type = "dict", .key = {}});
  const Moved moved(into, prefix);
  for (TensorInfo& tensor : part.tensors) {
    const bool is_top = tensor.name.empty() && !prefix.empty();
    moved.row(tensor);
    tensor.storage = moved.storage(tensor.storage);
    if (is_top) ++into.containers.front().tensor_count;
    into.tensors.push_back(std::move(tensor));
  }
  for (Object& object : part.objects) {
    moved.row(object);
    into.objects.push_back(std::move(object));
  }
  if (!(is_bare(part) && !prefix.empty())) move_containers(into, part.containers, moved, !prefix.empty(), prefix);
  for (StorageBytes& bytes : part.storage_bytes) {
    bytes.file = moved.file(bytes.file);
    into.storage_bytes.push_back(std::move(bytes));
  }
  std::move(part.storages.begin(), part.storages.end(), std::back_inserter(into.storages));
  std::move(part.files.begin(), part.files.end(), std::back_inserter(into.files));
  std::move(part.digests.begin(), part.digests.end(), std::back_inserter(into.digests));
  for (std::string& warning : part.warnings) into.warnings.push_back(std::move(warning));
}

}  // namespace tenon::formats
