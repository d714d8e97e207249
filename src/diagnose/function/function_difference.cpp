// Blueprints name modules as the side that wrote them did. The tensors tell how names of the checkpoint became names of
// the model (`module.conv1.weight` -> `conv1.weight`); modules without tensors follow them.
#include "diagnose/function/function_difference.hpp"

#include <algorithm>
#include <unordered_map>

#include "diagnose/function/graph_difference.hpp"

namespace tenon::diagnosis {
namespace {

/// `from` at the start of a path becomes `to`: what a wrapper adds or takes away. Both end in a dot or are empty.
struct PathChange {
  std::string from, to;
};

/// The change that one tensor shows: what is left of its names when their common end is taken off.
PathChange change_of(std::string_view before, std::string_view after) {
  std::size_t common = 0, boundary = 0;
  while (common < before.size() && common < after.size() &&
         before[before.size() - 1 - common] == after[after.size() - 1 - common]) {
    ++common;
    const bool before_ends = common == before.size() || before[before.size() - 1 - common] == '.';
    const bool after_ends = common == after.size() || after[after.size() - 1 - common] == '.';
    if (before_ends && after_ends) boundary = common;
  }
  return {std::string(before.substr(0, before.size() - boundary)),
          std::string(after.substr(0, after.size() - boundary))};
}

/// The change that most tensors show, if names changed at all.
PathChange usual_change(const Case& facts) {
  std::unordered_map<std::string, std::size_t> counts;
  std::size_t best = 0;
  PathChange usual;
  for (const Planned& tensor : facts.state.tensors()) {
    PathChange change = change_of(facts.checkpoint.tensors[tensor.source].name, tensor.spec.name);
    const std::size_t count = ++counts[change.from + '\0' + change.to];
    if (count <= best) continue;
    best = count;
    usual = std::move(change);
  }
  return usual;
}

class Renamer {
 public:
  explicit Renamer(const Case& facts) : usual_(usual_change(facts)) {
    for (const Planned& tensor : facts.state.tensors())
      tensors_.emplace(facts.checkpoint.tensors[tensor.source].name, tensor.spec.name);
  }

  /// Stands around the model in `to`, and nothing in `from` did.
  bool is_new_wrapper(const ModuleSpec& module) const {
    if (!usual_.from.empty() || usual_.to.empty()) return false;
    return module.path.empty() || usual_.to.starts_with(module.path + ".") ? module.path + "." != usual_.to : false;
  }

  bool is_idle() const { return usual_.from.empty() && usual_.to.empty(); }

  std::string tensor(const std::string& name) const {
    const auto found = tensors_.find(name);
    return found == tensors_.end() ? name : found->second;
  }

  /// Nothing for a wrapper that is no more.
  std::optional<std::string> module(const std::string& path) const {
    const std::string dotted = path.empty() ? path : path + ".";
    if (!dotted.starts_with(usual_.from)) {
      // what stands around the wrapped model goes; what the blueprint never had under the prefix stays
      if (usual_.from.starts_with(dotted) && has_wrapped_) return std::nullopt;
      return path;
    }
    std::string renamed = usual_.to + dotted.substr(usual_.from.size());
    if (!renamed.empty()) renamed.pop_back();
    return renamed;
  }

  void look_at(const std::vector<ModuleSpec>& modules) {
    const std::string wrapped = usual_.from.empty() ? usual_.from : usual_.from.substr(0, usual_.from.size() - 1);
    has_wrapped_ = !wrapped.empty() && std::any_of(modules.begin(), modules.end(),
                                                   [&](const ModuleSpec& module) { return module.path == wrapped; });
  }

 private:
  PathChange usual_;
  std::unordered_map<std::string, std::string> tensors_;
  bool has_wrapped_ = false;
};

void rename_graph(Graph& graph, const Renamer& renamer) {
  for (GraphNode& node : graph.nodes) {
    if (node.op != "output") node.module = renamer.module(node.module).value_or(std::string());
    for (Operand& operand : node.operands)
      if (operand.from == Operand::From::Tensor) operand.name = renamer.tensor(operand.name);
  }
}

void rename(Blueprint& blueprint, Renamer renamer) {
  renamer.look_at(blueprint.modules);
  std::vector<ModuleSpec> modules;
  for (ModuleSpec& module : blueprint.modules) {
    const auto path = renamer.module(module.path);
    if (!path) continue;
    module.path = *path;
    if (!module.same_as.empty()) module.same_as = renamer.module(module.same_as).value_or(std::string());
    modules.push_back(std::move(module));
  }
  blueprint.modules = std::move(modules);
  for (TensorSpec& spec : blueprint.tensors) {
    spec.name = renamer.tensor(spec.name);
    spec.tied_to = renamer.tensor(spec.tied_to);
  }
  if (blueprint.graph) rename_graph(*blueprint.graph, renamer);
  if (!blueprint.probe) return;
  for (Fingerprint& print : blueprint.probe->state) print.name = renamer.tensor(print.name);
  for (ProbeTensor& module : blueprint.probe->modules)
    module.name = renamer.module(module.name).value_or(std::string());
}

/// Names and shapes only: names that changed change nothing of what is compared here.
bool is_bare(const Blueprint& blueprint) {
  return blueprint.modules.empty() && !blueprint.graph && !blueprint.probe &&
         std::all_of(blueprint.tensors.begin(), blueprint.tensors.end(),
                     [](const TensorSpec& spec) { return spec.tied_to.empty(); });
}

}  // namespace

std::optional<FunctionDifference> function_difference(const Case& facts) {
  if (!facts.checkpoint.blueprint || !facts.target.blueprint) return {};
  FunctionDifference difference{*facts.checkpoint.blueprint, *facts.target.blueprint, {}, {}, {}, {}};
  if (is_bare(difference.from) && is_bare(difference.to)) {
    difference.from.tensors.clear();
    difference.to.tensors.clear();
  } else if (const Renamer renamer(facts); !renamer.is_idle()) {
    rename(difference.from, renamer);
    std::erase_if(difference.to.modules, [&](const ModuleSpec& module) { return renamer.is_new_wrapper(module); });
  }
  const Blueprint &from = difference.from, &to = difference.to;
  difference.architecture = architecture_changes(from, to);
  difference.environment = environment_changes(from, to);
  difference.probe = compare_probes(from, to, &difference.why_no_probe);
  difference.modules_compared = comparable_modules(from, to);
  difference.operations_compared = comparable_graphs(from, to);
  return difference;
}

}  // namespace tenon::diagnosis
