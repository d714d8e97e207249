// architecture_changes: what differs between two blueprints in modules, options, ties and operations.
//
// Only what decides the function counts. Forms that mean the same (2 and [2, 2]) are equal, and an option that one
// framework or version writes and the other does not is no difference.
#include <algorithm>
#include <map>
#include <string>
#include <unordered_map>
#include <unordered_set>
#include <utility>

#include <tenon/blueprint.hpp>

#include "diagnose/function/graph_difference.hpp"
#include "diagnose/function/option_text.hpp"
#include "diagnose/function/release.hpp"
#include "diagnose/names.hpp"

namespace tenon {
namespace {

using namespace diagnosis;  // NOLINT: this file is the room's door

using Kind = ArchitectureChange::Kind;

/// Paths of the modules that hold others: of a custom one among them the class name decides nothing.
std::unordered_set<std::string> frames_of(const Blueprint& blueprint) {
  std::unordered_set<std::string> paths;
  for (const ModuleSpec& module : blueprint.modules) {
    const auto dot = module.path.rfind('.');
    if (!module.path.empty()) paths.insert(dot == std::string::npos ? std::string() : module.path.substr(0, dot));
  }
  return paths;
}

class ModuleComparison {
 public:
  ModuleComparison(const Blueprint& from, const Blueprint& to)
      : from_(from),
        to_(to),
        from_frames_(frames_of(from)),
        to_frames_(frames_of(to)),
        same_writer_(framework_of(from) == framework_of(to) && from.source == to.source &&
                     config_writer_of(from) == config_writer_of(to)) {}

  std::vector<ArchitectureChange> changes() {
    shared_ = names_of_shared(from_, to_);
    std::unordered_map<std::string_view, const ModuleSpec*> to_modules;
    for (const ModuleSpec& module : to_.modules) to_modules.emplace(module.path, &module);
    std::unordered_set<std::string_view> from_paths;
    for (const ModuleSpec& module : from_.modules) {
      from_paths.insert(module.path);
      const auto other = to_modules.find(module.path);
      if (other == to_modules.end() && does_something(module))
        changes_.push_back({Kind::Removed, module.path, "module", describe(module), {}});
      else if (other != to_modules.end())
        compare(module, *other->second);
    }
    for (const ModuleSpec& module : to_.modules)
      if (from_paths.count(module.path) == 0 && does_something(module))
        changes_.push_back({Kind::Added, module.path, "module", {}, describe(module)});
    return std::move(changes_);
  }

 private:
  /// An Identity more or less is the same model; one in another module's place is not.
  static bool does_something(const ModuleSpec& module) { return module.is_custom || module.type != "Identity"; }

  void compare(const ModuleSpec& from, const ModuleSpec& to) {
    const bool is_frame = (from.is_custom || from.path.empty()) && (to.is_custom || to.path.empty()) &&
                          from_frames_.count(from.path) > 0 && to_frames_.count(to.path) > 0;
    if (from.type != to.type && !is_frame) {
      changes_.push_back({Kind::Changed, from.path, "class", describe(from), describe(to)});
      return;
    }
    const bool same_source = from_.source == to_.source;  // an archive's code does not say what is shared
    if (from.same_as != to.same_as && same_source && shared_.count(from.path) == 0)
      changes_.push_back({Kind::Changed, from.path, "sharing", sharing_text(from), sharing_text(to)});
    compare_options(from, to);
  }

  static std::string sharing_text(const ModuleSpec& module) {
    return module.same_as.empty() ? "a module of its own" : "the same module as " + module.same_as;
  }

  /// An option that became null is a change to read; describe() leaves null out.
  static std::string shown(const std::string& json) { return json == "null" ? R"("none")" : json; }

  /// An option on one side only is a difference where both sides were written alike. TorchScript's constants of
  /// PyTorch's own layers depend on the release, which an archive does not name.
  bool tells_all(const ModuleSpec& module) const {
    return same_writer_ && (module.is_custom || !from_.source.starts_with("torchscript"));
  }

  /// A live module says null where it was told nothing; an archive's operation then has what that came to.
  std::pair<const std::string*, const std::string*> said(const std::string* a, const std::string* b) const {
    const bool is_same_source = from_.source == to_.source;
    if (!is_same_source && a != nullptr && *a == "null") a = nullptr;
    if (!is_same_source && b != nullptr && *b == "null") b = nullptr;
    return {a, b};
  }

  void compare_options(const ModuleSpec& from, const ModuleSpec& to) {
    JsonMembers before, after;
    std::map<std::string_view, std::pair<const std::string*, const std::string*>> options;
    for (const auto& [name, json] : from.options) options[name].first = &json;
    for (const auto& [name, json] : to.options) options[name].second = &json;
    for (const auto& [name, values] : options) {
      const auto [a, b] = said(values.first, values.second);
      if (name == "inplace") continue;
      if ((a == nullptr || b == nullptr) && !tells_all(from)) continue;
      if (a != nullptr && b != nullptr && same_option(*a, *b)) continue;
      if (a != nullptr) before.emplace_back(name, shown(*a));
      if (b != nullptr) after.emplace_back(name, shown(*b));
    }
    if (before.empty() && after.empty()) return;
    const JsonMember& first = before.empty() ? after.front() : before.front();
    const std::size_t count = std::max(before.size(), after.size());
    const std::string what = count == 1 ? "option " + first.first : std::to_string(count) + " options";
    changes_.push_back({Kind::Changed, from.path, what, describe({from.path, from.type, false, before, {}}),
                        describe({to.path, to.type, false, after, {}})});
  }

  const Blueprint& from_;
  const Blueprint& to_;
  const std::unordered_set<std::string> from_frames_, to_frames_;
  const bool same_writer_;
  std::unordered_map<std::string, std::string> shared_;
  std::vector<ArchitectureChange> changes_;
};

std::string tie_text(const TensorSpec& spec) {
  return spec.tied_to.empty() ? "a tensor of its own" : "tied to " + spec.tied_to;
}

/// Ties are known of both sides: a blueprint says for every tensor whether it shares its storage.
void compare_ties(const Blueprint& from, const Blueprint& to, std::vector<ArchitectureChange>& changes) {
  std::unordered_map<std::string_view, const TensorSpec*> others;
  for (const TensorSpec& spec : to.tensors) others.emplace(spec.name, &spec);
  for (const TensorSpec& spec : from.tensors) {
    const auto other = others.find(spec.name);
    if (other == others.end() || other->second->tied_to == spec.tied_to) continue;
    const auto dot = spec.name.rfind('.');
    changes.push_back({Kind::Changed, dot == std::string::npos ? std::string() : spec.name.substr(0, dot),
                       "tie of " + spec.name, tie_text(spec), tie_text(*other->second)});
  }
}

std::string role_text(Role role) { return role == Role::Parameter ? "parameter" : "buffer"; }

/// A parameter is trained and decays; a buffer is not.
void compare_roles(const Blueprint& from, const Blueprint& to, std::vector<ArchitectureChange>& changes) {
  std::unordered_map<std::string_view, Role> roles;
  for (const TensorSpec& spec : to.tensors) roles.emplace(spec.name, spec.role);
  for (const TensorSpec& spec : from.tensors) {
    const auto other = roles.find(spec.name);
    if (other == roles.end() || other->second == spec.role) continue;
    if (other->second == Role::Unknown || spec.role == Role::Unknown) continue;
    changes.push_back({Kind::Changed, std::string(module_of(spec.name)), "role of " + spec.name, role_text(spec.role),
                       role_text(other->second)});
  }
}

/// Paths with a tensor in them or below.
std::unordered_set<std::string> paths_with_tensors(const Blueprint& blueprint) {
  std::unordered_set<std::string> paths;
  for (const TensorSpec& spec : blueprint.tensors)
    for (std::string_view path = module_of(spec.name); !path.empty(); path = module_of(path)) paths.emplace(path);
  return paths;
}

void add_shared(const Blueprint& side, const Blueprint& other, std::unordered_map<std::string, std::string>& names) {
  std::unordered_map<std::string_view, std::string_view> others;
  for (const ModuleSpec& module : other.modules) others.emplace(module.path, module.same_as);
  const auto with_tensors = paths_with_tensors(side);
  for (const ModuleSpec& module : side.modules) {
    const auto found = others.find(module.path);
    if (module.same_as.empty() || found == others.end() || found->second == module.same_as) continue;
    if (with_tensors.count(module.path) == 0 && with_tensors.count(module.same_as) == 0)
      names.emplace(module.path, module.same_as);
  }
}

}  // namespace

std::unordered_map<std::string, std::string> diagnosis::names_of_shared(const Blueprint& from, const Blueprint& to) {
  std::unordered_map<std::string, std::string> names;
  add_shared(from, to, names);
  add_shared(to, from, names);
  return names;
}

namespace diagnosis {

bool comparable_modules(const Blueprint& from, const Blueprint& to) {
  if (from.modules.empty() || to.modules.empty()) return false;
  if (from.source == to.source) return true;
  if (from.source == "config" || to.source == "config") return false;
  return from.modules.size() > 1 && to.modules.size() > 1;  // a frozen archive has one module left
}

}  // namespace diagnosis

std::string_view kind_name(ArchitectureChange::Kind kind) {
  switch (kind) {
    case Kind::Added: return "added";
    case Kind::Removed: return "removed";
    case Kind::Changed: return "changed";
  }
  return {};
}

std::vector<ArchitectureChange> architecture_changes(const Blueprint& from, const Blueprint& to) {
  std::vector<ArchitectureChange> changes;
  if (comparable_modules(from, to)) changes = ModuleComparison(from, to).changes();
  compare_ties(from, to, changes);
  compare_roles(from, to, changes);
  add_graph_changes(from, to, changes);
  return changes;
}

}  // namespace tenon
