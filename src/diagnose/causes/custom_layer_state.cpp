// custom_layer_state: a module keeps state where no state dict looks: plain attributes, lists of modules,
// non-persistent buffers.
#include <algorithm>
#include <unordered_map>

#include "base/text.hpp"
#include "diagnose/function/function_difference.hpp"
#include "diagnose/phrases.hpp"
#include "diagnose/rules.hpp"

namespace tenon::diagnosis {
namespace {

using Reasons = std::unordered_map<std::string_view, std::string_view>;

Reasons reasons_of(const Listing& listing) {
  Reasons reasons;
  if (listing.blueprint)
    for (const Unsaved& row : listing.blueprint->unsaved) reasons.emplace(row.name, row.why);
  return reasons;
}

/// What would have been trained: modules and parameters that are not registered. A tensor kept as a plain attribute may
/// be a constant.
bool holds_weights(const Unsaved& row) { return row.why.find("module") == 0 || row.why.find("parameter") == 0; }

/// What registers state of that kind.
std::string registration(std::string_view why) {
  if (why.starts_with("non-persistent")) return "self.register_buffer(name, tensor, persistent=True)";
  if (why.starts_with("module")) return "torch.nn.ModuleList or ModuleDict for the list or dict";
  if (why.starts_with("parameter")) return "self.name = torch.nn.Parameter(tensor)";
  return "self.register_buffer(name, tensor); torch.nn.Parameter(tensor) where it is trained";
}

Finding finding_of(const Case& facts, std::string summary, const std::vector<std::string>& names,
                   const std::vector<std::string>& evidence, std::string_view first_why) {
  Finding finding;
  Cause& cause = finding.cause;
  cause.summary = std::move(summary);
  cause.place = facts.checkpoint.label + ", blueprint";
  cause.keys = names.size();
  cause.evidence = evidence;
  cause.why =
      "a state dict holds registered parameters and persistent buffers; anything else a module keeps is left out";
  cause.help = {"register it, and save anew    " + registration(first_why)};
  return finding;
}

/// What the lost state does to the outputs: silent_wrong does not say it again.
void add_probe(const Case& facts, Cause& cause) {
  if (!facts.function || !facts.function->probe) return;
  const ProbeComparison& probe = *facts.function->probe;
  if (probe.verdict != ProbeVerdict::OtherFunction) return;
  cause.evidence.push_back("probe: " + probe.detail);
  if (!probe.first_deviating_module.empty())
    cause.evidence.push_back("first module that deviates: " + quoted(probe.first_deviating_module));
}

/// Tensors that one side has in its state dict and the other keeps beside it.
std::optional<Finding> half_registered(const Case& facts) {
  const Reasons kept_by_model = reasons_of(facts.target), kept_by_saved = reasons_of(facts.checkpoint);
  std::vector<std::string> names, evidence;
  std::string_view why;
  for (const std::size_t index : facts.gap.unexpected) {
    const auto found = kept_by_model.find(facts.have(index).name);
    if (found == kept_by_model.end()) continue;
    names.push_back(facts.have(index).name);
    evidence.push_back(quoted(names.back()) + ": in the file; in the model: " + std::string(found->second));
    if (why.empty()) why = found->second;
  }
  const bool is_in_file = !names.empty();
  for (const std::size_t index : facts.gap.missing) {
    const auto found = kept_by_saved.find(facts.want(index).name);
    if (found == kept_by_saved.end()) continue;
    names.push_back(facts.want(index).name);
    evidence.push_back(quoted(names.back()) + ": wanted; in the saved model: " + std::string(found->second));
    if (why.empty()) why = found->second;
  }
  if (names.empty()) return std::nullopt;
  if (evidence.size() > 3) evidence.resize(3);
  const std::string summary = is_in_file ? "the model keeps outside its state dict what the file holds: "
                                         : "the saved model kept outside its state dict what the model wants: ";
  Finding finding = finding_of(facts, summary + list_text(names), names, evidence, why);
  finding.cause.confidence = 0.97;  // the same name on both sides, registered on one
  return finding;
}

/// Weights that are in no state dict at all.
std::optional<Finding> unsaved_weights(const Case& facts, const Listing& side, const char* whose) {
  if (!side.blueprint) return std::nullopt;
  std::vector<std::string> names, evidence;
  std::string_view why;
  for (const Unsaved& row : side.blueprint->unsaved) {
    if (!holds_weights(row)) continue;
    names.push_back(row.name);
    if (why.empty()) why = row.why;
    if (evidence.size() < 3) evidence.push_back(quoted(row.name) + ": " + row.why);
  }
  if (names.empty()) return std::nullopt;
  Finding finding = finding_of(facts, std::string(whose) + " has weights that no state dict holds: " + list_text(names),
                               names, evidence, why);
  finding.cause.confidence = 0.95;
  return finding;
}

}  // namespace

std::optional<Finding> find_custom_layer_state(const Case& facts) {
  auto finding = half_registered(facts);
  if (!finding) finding = unsaved_weights(facts, facts.checkpoint, "the saved model");
  if (!finding) finding = unsaved_weights(facts, facts.target, "the model");
  if (finding) add_probe(facts, finding->cause);
  return finding;
}

}  // namespace tenon::diagnosis
