// rehearse: a plan carried out on names alone. What it says is what apply() does.
#include <algorithm>
#include <unordered_set>

#include <tenon/error.hpp>
#include <tenon/plan.hpp>

#include "plan/state.hpp"

namespace tenon {
namespace {

void collect(const RecipeNode& node, std::vector<std::size_t>& found) {
  if (const auto* leaf = std::get_if<FromCheckpoint>(&node.step)) found.push_back(leaf->index);
  for (const Recipe& input : node.inputs) collect(*input, found);
}

/// Sources that no planned tensor is made of, each once.
std::vector<std::size_t> left_out(const plan::State& state, std::size_t count) {
  std::vector<bool> is_used(count, false), is_named(count, false);
  for (const Planned& tensor : state.tensors())
    for (const std::size_t source : sources(tensor)) is_used[source] = true;
  std::vector<std::size_t> result;
  for (const std::size_t source : state.dropped()) {
    if (is_used[source] || is_named[source]) continue;
    is_named[source] = true;
    result.push_back(source);
  }
  return result;
}

}  // namespace

std::vector<std::size_t> sources(const Planned& planned) {
  if (!planned.recipe) return {planned.source};
  std::vector<std::size_t> found, result;
  collect(*planned.recipe, found);
  std::unordered_set<std::size_t> seen;
  for (const std::size_t source : found)
    if (seen.insert(source).second) result.push_back(source);
  return result;
}

Rehearsal rehearse(const Plan& plan, const Listing& checkpoint) {
  plan::State state(checkpoint);
  for (const Op& op : plan.ops) {
    const bool may_match_nothing = std::holds_alternative<KeepTarget>(op.operation);
    if (state.run(op) == 0 && !may_match_nothing)
      throw Error(Code::Invalid, {checkpoint.label, {}, {}, {}}, "an operation of the plan matches nothing",
                  "a tensor that it applies to", to_json(op), "take the operation out of the plan, or correct it");
  }
  if (const auto name = state.collision())
    throw Error(Code::Invalid, {checkpoint.label, {}, *name, {}}, "the plan gives two tensors one name",
                "one tensor per name", "two", "drop or rename one of them first");
  return {state.tensors(), left_out(state, checkpoint.tensors.size()), state.kept_patterns()};
}

Plan accepted(const Plan& plan, const Acceptance& acceptance) {
  Plan result;
  for (const Op& op : plan.ops) {
    bool take = false;
    switch (std::max(op.applicability, best_applicability(op.operation))) {
      case Applicability::Exact: take = true; break;
      case Applicability::Lossy: take = acceptance.lossy; break;
      case Applicability::Guess: take = acceptance.guess; break;
      case Applicability::Template: break;
    }
    if (take) result.ops.push_back(op);
  }
  return result;
}

}  // namespace tenon
