// parameter_free_change: every name and shape may fit, and the function is another one.
//
// The blueprints tell: modules without tensors, options, operations. What belongs to tensors that do not fit (a new
// head, another width) is left to the causes that explain those.
#include <algorithm>
#include <unordered_set>

#include <fmt/format.h>

#include "base/text.hpp"
#include "diagnose/function/function_difference.hpp"
#include "diagnose/function/layer_picture.hpp"
#include "diagnose/names.hpp"
#include "diagnose/phrases.hpp"
#include "diagnose/rules.hpp"

namespace tenon::diagnosis {
namespace {

using Kind = ArchitectureChange::Kind;

/// Modules with a tensor that is missing, unexpected or of another shape, and all that hold them, but the model itself.
std::unordered_set<std::string> modules_of_gap(const Case& facts) {
  std::unordered_set<std::string> modules;
  const auto add = [&](std::string_view name) {
    for (std::string_view path = module_of(name); !path.empty(); path = module_of(path)) modules.emplace(path);
  };
  for (const std::size_t index : facts.gap.missing) add(facts.want(index).name);
  for (const std::size_t index : facts.gap.kept) add(facts.want(index).name);
  for (const std::size_t index : facts.gap.unexpected) add(facts.have(index).name);
  for (const std::size_t index : facts.state.dropped()) add(facts.checkpoint.tensors[index].name);
  for (const Pair& pair : facts.gap.mismatched) add(facts.want(pair.target).name);
  return modules;
}

bool is_tie(const ArchitectureChange& change) { return change.what == "sharing" || change.what.starts_with("tie of "); }

std::vector<const ArchitectureChange*> unexplained(const Case& facts) {
  const auto explained = modules_of_gap(facts);
  std::vector<const ArchitectureChange*> changes;
  for (const ArchitectureChange& change : facts.function->architecture)
    if (!is_tie(change) && explained.count(change.module) == 0) changes.push_back(&change);
  return changes;
}

std::string place_text(const ArchitectureChange& change) {
  return change.module.empty() ? std::string("`forward`") : quoted(change.module);
}

std::string summary_of(const ArchitectureChange& change) {
  const bool is_module = change.what == "module";
  switch (change.kind) {
    case Kind::Added:
      return is_module ? "the model runs a layer that the saved one did not have: " + place_text(change)
                       : "the model runs an operation that the saved one did not: " + quoted(change.what.substr(10)) +
                             " in " + place_text(change);
    case Kind::Removed:
      return is_module ? "the saved model ran a layer that this one does not have: " + place_text(change)
                       : "the saved model ran an operation that this one does not: " + quoted(change.what.substr(10)) +
                             " in " + place_text(change);
    case Kind::Changed: break;
  }
  if (change.what == "class") return place_text(change) + " is another layer than in the saved model";
  return place_text(change) + " differs from the saved model: " + change.what;
}

std::string note_of(const ArchitectureChange& change) {
  return std::string(kind_name(change.kind)) + (change.module.empty() ? "" : ": " + change.module);
}

/// What to write to get back what was saved.
std::string help_of(const ArchitectureChange& change) {
  const std::string place = place_text(change);
  const bool is_module = change.what == "module";
  switch (change.kind) {
    case Kind::Added:
      return is_module ? "take " + place + " out again    " + attribute_text(change.module) + " = torch.nn.Identity()"
                       : "take the operation out of " + place + " again    " + change.to;
    case Kind::Removed:
      return is_module ? "put " + place + " back    " + change.from
                       : "put the operation back into " + place + "    " + change.from;
    case Kind::Changed: return "make " + place + " what it was    " + change.from;
  }
  return {};
}

/// Why nobody else reports it.
std::string why_of(const ArchitectureChange& change) {
  if (change.what == "module")
    return place_text(change) + " has no tensors: both state dicts are equal, and a strict load reports nothing";
  return "a state dict holds tensors, and neither options nor operations: a strict load reports nothing of this";
}

void add_probe(const Case& facts, Cause& cause) {
  const FunctionDifference& function = *facts.function;
  if (function.probe && function.probe->verdict == ProbeVerdict::OtherFunction) {
    cause.evidence.push_back("probe: " + function.probe->detail);
    if (!function.probe->first_deviating_module.empty())
      cause.evidence.push_back("first module that deviates: " + quoted(function.probe->first_deviating_module));
  } else if (function.probe) {
    cause.notes.push_back("the probe's outputs agree: for that input the difference does not show");
  }
  const std::pair<const Blueprint*, const char*> sides[] = {{&function.from, "saved model"}, {&function.to, "model"}};
  for (const auto& [side, name] : sides)
    if (side->probe)
      for (const std::string& finding : side->probe->findings)
        cause.notes.push_back(std::string("probe of the ") + name + ": " + finding);
}

/// The first change between its neighbours, and what it does to the layer after it.
void add_picture(const Case& facts, const std::vector<const ArchitectureChange*>& changes, Cause& cause) {
  LayerPicture picture = layer_picture(*facts.function, *changes.front());
  cause.layers = std::move(picture.rows);
  for (const ArchitectureChange* change : changes)
    if (cause.picture.size() < 4) cause.picture.push_back({change->from, change->to, note_of(*change)});
  if (!picture.misfit) return;
  const Misfit& misfit = *picture.misfit;
  cause.notes.push_back(
      fmt::format("{} was made for {} {} and gets {}", quoted(misfit.layer), misfit.wanted, misfit.what, misfit.given));
  if (misfit.type == "Linear")
    cause.help.push_back(fmt::format("or keep the change, give {} {} inputs and train it anew    plan: {}",
                                     quoted(misfit.layer), misfit.given,
                                     to_json(Op{KeepTarget{misfit.layer + ".*"}, Applicability::Template})));
}

}  // namespace

std::optional<Finding> find_parameter_free_change(const Case& facts) {
  if (!facts.function) return std::nullopt;
  if (facts.gap.matched.size() * 2 < facts.target.tensors.size()) return std::nullopt;  // another model altogether
  const auto changes = unexplained(facts);
  if (changes.empty()) return std::nullopt;
  Finding finding;
  Cause& cause = finding.cause;
  cause.keys = changes.size();
  cause.summary = summary_of(*changes.front());
  if (changes.size() > 1)
    cause.summary += fmt::format(" (and {} more)", base::plural(changes.size() - 1, "difference"));
  cause.place = facts.checkpoint.label + ", blueprint, vs " +
                (facts.target.class_name.empty() ? facts.target.label : facts.target.class_name);
  cause.why = why_of(*changes.front());
  const std::size_t wanted = facts.target.tensors.size();
  cause.evidence.push_back(fmt::format("names and shapes: {} of {} fit; the blueprints differ in {}",
                                       facts.gap.matched.size(), wanted, base::plural(changes.size(), "place")));
  if (facts.function->operations_compared)
    cause.evidence.push_back(fmt::format("operations: {} in the saved run, {} in the model's",
                                         facts.function->from.graph->nodes.size(),
                                         facts.function->to.graph->nodes.size()));
  add_probe(facts, cause);
  // Both sides wrote down what differs; only an option that no run reads could make no difference.
  cause.confidence =
      facts.function->probe && facts.function->probe->verdict != ProbeVerdict::OtherFunction ? 0.9 : 0.99;
  for (const ArchitectureChange* change : changes)
    if (cause.help.size() < 3) cause.help.push_back(help_of(*change));
  add_picture(facts, changes, cause);
  return finding;
}

}  // namespace tenon::diagnosis
