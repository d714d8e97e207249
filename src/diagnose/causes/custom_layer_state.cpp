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

Finding finding_of(const Case& facts, std::string summary, const std::vector<std::string>& names,
                   const std::vector<std::string>& evidence) {
  Finding finding;
  Cause& cause = finding.cause;
  cause.summary = std::move(summary);
  cause.place = facts.checkpoint.label + ", blueprint";
  cause.keys = names.size();
  cause.evidence = evidence;
  cause.why =
      "a state dict holds registered parameters and persistent buffers; anything else a module keeps is left out";
  cause.help = {"register it    self.register_buffer(...), nn.Parameter, nn.ModuleList or nn.ModuleDict"};
  return finding;
}

/// Tensors that one side has in its state dict and the other keeps beside it.
std::optional<Finding> half_registered(const Case& facts) {
  const Reasons kept_by_model = reasons_of(facts.target), kept_by_saved = reasons_of(facts.checkpoint);
  std::vector<std::string> names, evidence;
  for (const std::size_t index : facts.gap.unexpected) {
    const auto found = kept_by_model.find(facts.have(index).name);
    if (found == kept_by_model.end()) continue;
    names.push_back(facts.have(index).name);
    evidence.push_back(quoted(names.back()) + " is in the file; the model keeps it as " + std::string(found->second));
  }
  for (const std::size_t index : facts.gap.missing) {
    const auto found = kept_by_saved.find(facts.want(index).name);
    if (found == kept_by_saved.end()) continue;
    names.push_back(facts.want(index).name);
    evidence.push_back(quoted(names.back()) + " is wanted; the saved model kept it as " + std::string(found->second));
  }
  if (names.empty()) return std::nullopt;
  if (evidence.size() > 3) evidence.resize(3);
  Finding finding = finding_of(facts, list_text(names) + " is state on one side only", names, evidence);
  finding.cause.confidence = 0.97;  // the same name on both sides, registered on one
  return finding;
}

/// Weights that are in no state dict at all.
std::optional<Finding> unsaved_weights(const Case& facts, const Listing& side, const char* whose) {
  if (!side.blueprint) return std::nullopt;
  std::vector<std::string> names, evidence;
  for (const Unsaved& row : side.blueprint->unsaved) {
    if (!holds_weights(row)) continue;
    names.push_back(row.name);
    if (evidence.size() < 3) evidence.push_back(quoted(row.name) + ": " + row.why);
  }
  if (names.empty()) return std::nullopt;
  Finding finding = finding_of(facts, std::string(whose) + " has weights that no state dict holds: " + list_text(names),
                               names, evidence);
  finding.cause.confidence = 0.95;
  return finding;
}

}  // namespace

std::optional<Finding> find_custom_layer_state(const Case& facts) {
  if (auto finding = half_registered(facts)) return finding;
  if (auto finding = unsaved_weights(facts, facts.checkpoint, "the saved model")) return finding;
  return unsaved_weights(facts, facts.target, "the model");
}

}  // namespace tenon::diagnosis
