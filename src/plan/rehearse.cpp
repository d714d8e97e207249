// rehearse: a plan carried out on names alone. What it says is what apply() does.
#include <tenon/error.hpp>
#include <tenon/plan.hpp>

#include "plan/state.hpp"

namespace tenon {

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
  return {state.tensors(), state.dropped(), state.kept_patterns()};
}

Plan accepted(const Plan& plan, const Acceptance& acceptance) {
  Plan result;
  for (const Op& op : plan.ops) {
    bool take = false;
    switch (op.applicability) {
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
