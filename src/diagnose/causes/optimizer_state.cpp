// optimizer_state: the state of an optimizer, scheduler or scaler does not fit the parameters.
//
// Optimizers keep moments by position, not by name: another order, another grouping or another set of trained
// parameters shifts all of them. Sizes then meet the wrong neighbour at the first step.
#include "diagnose/reading.hpp"
#include "diagnose/rules.hpp"

namespace tenon::diagnosis {
namespace {

constexpr std::string_view kWhy =
    "an optimizer's state knows parameters by position only: another order, grouping or set of trained ones shifts it";
constexpr std::string_view kFresh =
    "build the optimizer as it was when saved (same groups, same order), or start it anew from the weights";

constexpr Reading kReadings[] = {
    {Symptom::OptimizerGroups, 0.97, "the saved optimizer groups its parameters in another way", kWhy, kFresh},
    {Symptom::OptimizerMember, 0.85,
     "the saved state lacks a part that the optimizer, scheduler or trainer asks for: `%`",
     "another optimizer or another release wrote it, or only the weights were saved", kFresh},
    {Symptom::OptimizerShape, 0.72, "a moment of the optimizer meets a parameter of another shape", kWhy, kFresh},
    {Symptom::OptimizerObject, 0.8, "a whole optimizer (`%`) stands where its state dict is wanted",
     "the object was pickled instead of its state",
     "save optimizer.state_dict(); take .state_dict() of the loaded object"},
    {Symptom::OptimizerOther, 0.7, "the optimizer's, scheduler's or scaler's state does not fit", kWhy, kFresh},
    {Symptom::OptimizerFrame, 0.6, "the failure is in the optimizer's state, not in the weights", kWhy, kFresh},
};

}  // namespace

std::optional<Finding> find_optimizer_state(const Case& facts) {
  if (facts.text == nullptr) return std::nullopt;
  if (facts.text->tells_keys() && facts.text->find(Symptom::OptimizerGroups) == nullptr) return std::nullopt;
  return read_sightings(facts, kReadings);
}

}  // namespace tenon::diagnosis
