// changes_since: what a child's blueprint has that its parent's had not, in words for the log.
#include <algorithm>
#include <set>
#include <string>
#include <unordered_map>

#include <tenon/blueprint.hpp>

#include "base/text.hpp"

namespace tenon {
namespace {

std::string named(const std::vector<std::string>& names) {
  const std::vector<std::string> first(
      names.begin(), names.begin() + static_cast<std::ptrdiff_t>(std::min<std::size_t>(names.size(), 3)));
  return base::join(first, ", ") +
         (names.size() > 3 ? " and " + std::to_string(names.size() - 3) + " more" : std::string());
}

void add_list(std::vector<std::string>& clauses, const std::vector<std::string>& names, const char* what) {
  if (!names.empty()) clauses.push_back(base::plural(names.size(), "tensor") + " " + what + ": " + named(names));
}

/// Added, removed, of other dtype or shape, frozen, thawed.
void tensor_changes(const Blueprint& parent, const Blueprint& child, std::vector<std::string>& clauses) {
  std::unordered_map<std::string_view, const TensorSpec*> before;
  for (const TensorSpec& spec : parent.tensors) before.emplace(spec.name, &spec);
  std::vector<std::string> added, removed, retyped, reshaped, frozen, thawed;
  for (const TensorSpec& spec : child.tensors) {
    const auto found = before.find(spec.name);
    if (found == before.end()) {
      added.push_back(spec.name);
      continue;
    }
    const TensorSpec& old = *found->second;
    if (old.dtype && spec.dtype && old.dtype != spec.dtype)
      retyped.push_back(spec.name + " " + std::string(dtype_name(*old.dtype)) + " to " +
                        std::string(dtype_name(*spec.dtype)));
    if (old.shape && spec.shape && old.shape != spec.shape)
      reshaped.push_back(spec.name + " " + base::shape_text(*old.shape) + " to " + base::shape_text(*spec.shape));
    if (old.requires_grad == true && spec.requires_grad == false) frozen.push_back(spec.name);
    if (old.requires_grad == false && spec.requires_grad == true) thawed.push_back(spec.name);
    before.erase(found);
  }
  for (const TensorSpec& spec : parent.tensors)
    if (before.count(spec.name) > 0) removed.push_back(spec.name);
  add_list(clauses, added, "added");
  add_list(clauses, removed, "removed");
  add_list(clauses, retyped, "changed dtype");
  add_list(clauses, reshaped, "changed shape");
  add_list(clauses, frozen, "frozen");
  add_list(clauses, thawed, "no longer frozen");
}

std::string clause(const ArchitectureChange& change) {
  const std::string place = change.module.empty() ? "the model" : change.module;
  if (change.what == "module")
    return "module " + place + " " + std::string(kind_name(change.kind)) + ": " +
           (change.kind == ArchitectureChange::Kind::Added ? change.to : change.from);
  if (change.kind == ArchitectureChange::Kind::Changed)
    return place + ": " + change.what + " changed from " + change.from + " to " + change.to;
  return place + ": " + change.what + " " + std::string(kind_name(change.kind));
}

}  // namespace

std::vector<std::string> changes_since(const Blueprint& parent, const Blueprint& child) {
  std::vector<std::string> clauses;
  tensor_changes(parent, child, clauses);
  for (const ArchitectureChange& change : architecture_changes(parent, child)) clauses.push_back(clause(change));
  if (parent.optimizer.size() != child.optimizer.size() && !parent.optimizer.empty() && !child.optimizer.empty())
    clauses.push_back(base::plural(parent.optimizer.size(), "optimizer group") + " became " +
                      std::to_string(child.optimizer.size()));
  for (const EnvironmentChange& change : environment_changes(parent, child))
    clauses.push_back(change.what + " changed from " + change.from + " to " + change.to);
  return clauses;
}

}  // namespace tenon
