#include "apply/notes.hpp"

#include <algorithm>
#include <array>
#include <string_view>

#include "base/text.hpp"

namespace tenon::apply_plan {
namespace {

bool moves_elements(const Op& op) {
  const Operation& is = op.operation;
  return std::holds_alternative<Transpose>(is) || std::holds_alternative<Reshape>(is) ||
         std::holds_alternative<Reorder>(is) || std::holds_alternative<Split>(is) || std::holds_alternative<Fuse>(is);
}

/// The moments that torch.optim's optimizers keep for each parameter.
bool is_moment(std::string_view name) {
  constexpr std::array<std::string_view, 7> kMoments = {"exp_avg",    "exp_avg_sq", "max_exp_avg_sq", "momentum_buffer",
                                                        "square_avg", "grad_avg",   "exp_inf"};
  const auto dot = name.rfind('.');
  const std::string_view leaf = dot == std::string_view::npos ? name : name.substr(dot + 1);
  return std::find(kMoments.begin(), kMoments.end(), leaf) != kMoments.end();
}

}  // namespace

void note_rows(const Planned& planned, const std::string& name, const Values& values, std::vector<std::string>& notes) {
  for (const RecipeNode* node = planned.recipe.get(); node != nullptr;
       node = node->inputs.empty() ? nullptr : node->inputs.front().get()) {
    const auto* step = std::get_if<FillRows>(&node->step);
    if (step == nullptr || !node->shape || !node->inputs.front()->shape) continue;
    const std::int64_t had = node->inputs.front()->shape->front(), has = node->shape->front();
    if (has < had)
      notes.push_back("`" + name + "`: the last " + base::plural(static_cast<std::uint64_t>(had - has), "row") +
                      " left out");
    if (has <= had) continue;
    const auto own = values.own(name);
    const bool is_own = step->fill != RowFill::Mean && own && values.target().tensors()[*own].shape == *node->shape;
    notes.push_back("`" + name + "`: " + base::plural(static_cast<std::uint64_t>(has - had), "new row") +
                    (is_own ? " taken from the target" : " filled with the mean of the checkpoint's rows"));
  }
}

void note_moments(const Plan& plan, const Rehearsal& rehearsal, const Listing& checkpoint,
                  std::vector<std::string>& notes) {
  if (std::none_of(plan.ops.begin(), plan.ops.end(), moves_elements)) return;
  std::size_t unmoved = 0, dropped = 0;
  for (const Planned& planned : rehearsal.tensors) unmoved += is_moment(planned.spec.name) && !planned.recipe ? 1U : 0U;
  for (const std::size_t source : rehearsal.dropped) dropped += is_moment(checkpoint.tensors[source].name) ? 1U : 0U;
  if (unmoved + dropped == 0) return;
  notes.push_back("the plan moves elements of weights; " + base::plural(unmoved + dropped, "moment") +
                  " of the optimizer in the checkpoint keep the old layout: start with a new optimizer, or add the "
                  "same operations for their names");
}

}  // namespace tenon::apply_plan
