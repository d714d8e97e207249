#include "formats/snapshot_tree.hpp"

#include <algorithm>
#include <charconv>
#include <optional>
#include <string_view>
#include <utility>

#include <tenon/error.hpp>

#include "base/utf8.hpp"
#include "formats/writer.hpp"

namespace tenon::formats {

namespace {

bool has_plain_form(const Container& container) {
  return container.kind == ContainerKind::Mapping || container.kind == ContainerKind::Sequence;
}

std::string named(const std::string& name, const std::string& type) {
  return (name.empty() ? "the top object" : name) + " (" + type + ")";
}

bool is_key(const Value& value) {
  if (std::holds_alternative<Mapping>(value.is)) return false;
  const auto* sequence = std::get_if<Sequence>(&value.is);
  return sequence == nullptr ||
         (sequence->type == "tuple" && std::all_of(sequence->items.begin(), sequence->items.end(), is_key));
}

/// Beside is_plain(): text that is text, and keys that a dict can have; a forged pickle need not hold to either.
bool can_stand_in_a_pickle(const Value& value) {
  if (const auto* text = std::get_if<std::string>(&value.is)) return base::is_utf8(*text);
  if (const auto* sequence = std::get_if<Sequence>(&value.is))
    return std::all_of(sequence->items.begin(), sequence->items.end(), can_stand_in_a_pickle);
  if (const auto* mapping = std::get_if<Mapping>(&value.is))
    return std::all_of(mapping->items.begin(), mapping->items.end(), [](const auto& item) {
      return is_key(item.first) && can_stand_in_a_pickle(item.first) && can_stand_in_a_pickle(item.second);
    });
  return true;
}

/// The number that a key writes out, in its one canonical form.
std::optional<std::uint64_t> position_of(const Branch& branch) {
  std::uint64_t number = 0;
  const char* const end = branch.key.data() + branch.key.size();
  const auto [stop, failed] = std::from_chars(branch.key.data(), end, number);
  if (!branch.integer_key || failed != std::errc{} || stop != end) return std::nullopt;
  return std::to_string(number) == branch.key ? std::optional(number) : std::nullopt;
}

}  // namespace

SnapshotTree::SnapshotTree(const Snapshot& snapshot) : snapshot_(snapshot), nodes_(snapshot.containers.size()) {
  TENON_ASSERT(!nodes_.empty());
  for (std::size_t i = 0; i < nodes_.size(); ++i) {
    const Container& container = snapshot.containers[i];
    nodes_[i].plain = has_plain_form(container) && (i == 0 || nodes_[container.parent].plain);
  }
  nodes_[0].placed = true;
  for (std::size_t i = 0; i < snapshot.tensors.size(); ++i) place_tensor(i);
  for (std::size_t i = 0; i < snapshot.objects.size(); ++i) place_object(i);
  settle_lists();
}

bool SnapshotTree::is_bare_tensor() const {
  return !has_plain_form(snapshot_.containers.front()) && snapshot_.tensors.size() == 1 &&
         snapshot_.tensors.front().name.empty();
}

/// The container itself when it is plain, else the nearest dict around it, else the top.
std::size_t SnapshotTree::home(std::size_t container) {
  if (nodes_[container].plain) return container;
  std::size_t outermost = container;
  while (outermost != 0 && !nodes_[snapshot_.containers[outermost].parent].plain)
    outermost = snapshot_.containers[outermost].parent;
  const Container& foreign = snapshot_.containers[outermost];
  if (!std::exchange(nodes_[outermost].named, true) && !is_bare_tensor())
    left_out_.push_back(named(foreign.path, foreign.type));
  while (container != 0 && !(nodes_[container].plain && snapshot_.containers[container].kind == ContainerKind::Mapping))
    container = snapshot_.containers[container].parent;
  return container;
}

/// Puts a container, and those around it, where its first tensor puts it.
void SnapshotTree::place_container(std::size_t container) {
  std::vector<std::size_t> chain;
  for (std::size_t at = container; !nodes_[at].placed; at = snapshot_.containers[at].parent) chain.push_back(at);
  for (auto at = chain.rbegin(); at != chain.rend(); ++at) {
    const Container& placed = snapshot_.containers[*at];
    nodes_[*at].placed = true;
    nodes_[placed.parent].branches.push_back({placed.key, placed.integer_key, Branch::Kind::Container, *at});
  }
}

void SnapshotTree::place_tensor(std::size_t index) {
  const SnapshotTensor& tensor = snapshot_.tensors[index];
  const std::size_t at = home(tensor.container);
  place_container(at);
  auto& branches = nodes_[at].branches;
  if (at == tensor.container) {
    branches.push_back({std::string(tensor.key()), tensor.integer_key, Branch::Kind::Tensor, index});
    return;
  }
  const std::string& path = snapshot_.containers[at].path;
  const std::size_t skipped = path.empty() || tensor.name.size() <= path.size() ? 0 : path.size() + 1;
  branches.push_back({tensor.name.substr(skipped), false, Branch::Kind::Tensor, index});
}

void SnapshotTree::place_object(std::size_t index) {
  const Object& object = snapshot_.objects[index];
  if (is_state_dict_metadata(object)) return;
  if (!nodes_[object.container].plain && !is_bare_tensor()) {
    home(object.container);  // names what it stands in
  } else if (!is_bare_tensor() && is_plain(object.value) && can_stand_in_a_pickle(object.value) &&
             base::is_utf8(object.name)) {
    place_container(object.container);
    nodes_[object.container].branches.push_back(
        {std::string(object.key()), object.integer_key, Branch::Kind::Object, index});
  } else {
    left_out_.push_back(named(object.name, type_name(object.value)));
  }
}

/// A sequence stays one when its branches have positions; what was left out of it leaves gaps, so that the others keep
/// theirs. Sequences with other keys, or with more gaps than entries were left out, become dicts.
void SnapshotTree::settle_lists() {
  for (std::size_t i = 0; i < nodes_.size(); ++i) {
    Node& node = nodes_[i];
    if (!node.plain || snapshot_.containers[i].kind != ContainerKind::Sequence) continue;
    std::uint64_t end = 0;
    const bool all_placed = std::all_of(node.branches.begin(), node.branches.end(), [&](Branch& branch) {
      const auto position = position_of(branch);
      branch.position = position.value_or(0);
      end = std::max(end, branch.position);
      return position.has_value();
    });
    if (!all_placed || end > node.branches.size() + left_out_.size()) continue;
    std::stable_sort(node.branches.begin(), node.branches.end(),
                     [](const Branch& a, const Branch& b) { return a.position < b.position; });
    node.form = snapshot_.containers[i].type == "tuple" ? Form::Tuple : Form::List;
  }
}

std::vector<std::string> SnapshotTree::names_that_stand_twice() const {
  std::vector<std::string> twice;
  for (std::size_t i = 0; i < nodes_.size(); ++i) {
    std::vector<std::pair<std::string_view, bool>> keys;
    for (const Branch& branch : nodes_[i].branches) keys.emplace_back(branch.key, branch.integer_key);
    std::sort(keys.begin(), keys.end());
    const std::string& path = snapshot_.containers[i].path;
    for (auto at = keys.begin(); (at = std::adjacent_find(at, keys.end())) != keys.end(); ++at)
      twice.push_back(path + (path.empty() ? "" : ".") + std::string(at->first));
  }
  return twice;
}

}  // namespace tenon::formats
