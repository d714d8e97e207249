#include "carried_blueprint.hpp"

#include <algorithm>
#include <optional>
#include <string_view>
#include <unordered_map>
#include <utility>

#include <tenon/blueprint.hpp>
#include <tenon/log.hpp>

#include "base/text.hpp"

namespace tenon::cli {

namespace {

/// Every tensor of the result is the checkpoint's, under its name and in its dtype.
bool is_unchanged(const ApplyResult& result, const Plan& plan, const Listing& checkpoint) {
  if (!plan.ops.empty() || !result.filled_from_target.empty() || !result.dropped.empty()) return false;
  std::unordered_map<std::string_view, const TensorSpec*> own;
  for (const TensorSpec& spec : checkpoint.tensors) own.emplace(spec.name, &spec);
  const auto& tensors = result.snapshot.tensors;
  return tensors.size() == own.size() && std::all_of(tensors.begin(), tensors.end(), [&](const SnapshotTensor& tensor) {
           const auto found = own.find(tensor.name);
           return found != own.end() && found->second->dtype == tensor.dtype && found->second->shape == tensor.shape;
         });
}

std::string only_of_checkpoint(bool unchanged, const Blueprint& own, std::vector<std::string>& notes) {
  if (unchanged) {
    notes.push_back("the blueprint was carried over: the plan changed nothing");
    return to_json(own);
  }
  notes.push_back(
      "the checkpoint's blueprint was left out: its names are those before the plan, and the target has none");
  return {};
}

}  // namespace

std::string carried_blueprint(const ApplyResult& result, const Plan& plan, const Listing& checkpoint,
                              const Listing& target, std::vector<std::string>& notes) {
  const bool unchanged = is_unchanged(result, plan, checkpoint);
  if (!target.blueprint)
    return checkpoint.blueprint ? only_of_checkpoint(unchanged, *checkpoint.blueprint, notes) : std::string();
  Blueprint blueprint = *target.blueprint;
  blueprint.optimizer.clear();  // of a training that these weights have not seen
  blueprint.training.clear();
  blueprint.parents.clear();
  blueprint.changes.clear();
  const bool had_probe = blueprint.probe.has_value();
  const bool keeps_probe = unchanged && checkpoint.blueprint && checkpoint.blueprint->probe &&
                           architecture_digest(*checkpoint.blueprint) == architecture_digest(blueprint);
  blueprint.probe = keeps_probe ? checkpoint.blueprint->probe : std::nullopt;
  std::string note = "the target's blueprint was carried over";
  if (checkpoint.blueprint) {
    set_parent(blueprint, *checkpoint.blueprint, {});  // without its name: the output depends on the input's bytes
    note += ", with the checkpoint's as its parent";
    if (!blueprint.changes.empty())
      note += " and " + base::plural(blueprint.changes.size(), "change") + " since then (`tenon log`)";
  }
  if (keeps_probe)
    note += ", and the checkpoint's probe: no value and nothing of the architecture changed";
  else if (had_probe || (checkpoint.blueprint && checkpoint.blueprint->probe))
    note += "; no probe: its outputs are those of other weights or names. Save from the live model to record a new one";
  notes.push_back(std::move(note));
  return to_json(blueprint);
}

}  // namespace tenon::cli
