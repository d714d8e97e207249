// optimizer_state: the state of an optimizer, scheduler or scaler does not fit the parameters.
//
// Optimizers keep moments by position, not by name: another order, another grouping or another set of trained
// parameters shifts all of them. Sizes then meet the wrong neighbour at the first step.
#include <algorithm>

#include "base/text.hpp"
#include "diagnose/open_rows.hpp"
#include "diagnose/phrases.hpp"
#include "diagnose/reading.hpp"
#include "diagnose/rules.hpp"
#include "diagnose/saying.hpp"
#include "diagnose/text/scanner.hpp"

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

/// What TensorFlow keeps of an optimizer beside each variable: `conv1/weights/Adam_1`, `beta1_power`.
bool is_slot(std::string_view name) {
  constexpr std::string_view kSlots[] = {"adam",    "adam_m",   "adam_v",   "momentum",    "rmsprop",        "adagrad",
                                         "nadam",   "ftrl",     "adadelta", "beta1_power", "beta2_power",    "exp_avg",
                                         "adam_lr", "lazyadam", "adamw",    "exp_avg_sq",  "momentum_buffer"};
  std::string leaf = lowered(name.substr(name.find_last_of("/.") + 1));
  const auto end = leaf.find_last_not_of("0123456789");
  if (end != std::string::npos && leaf[end] == '_') leaf.resize(end);
  return std::find(std::begin(kSlots), std::end(kSlots), leaf) != std::end(kSlots);
}

/// All names that are not there are an optimizer's.
std::optional<Finding> slots(const Case& facts) {
  const OpenRows rows = open_rows(facts);
  const auto is_one = [](const OpenName& row) { return is_slot(row.name); };
  const std::size_t found = rows_where(rows.missing, is_one).size() + rows_where(rows.unexpected, is_one).size();
  if (facts.knowledge == Knowledge::Whole || found == 0 || found != rows.size()) return std::nullopt;
  const auto& side = rows.missing.empty() ? rows.unexpected : rows.missing;
  Finding finding = say(facts, {0.9,
                                "what is not there is an optimizer's: " + list_text(names_of_rows(side)),
                                "another optimizer was saved, or none",
                                {"all " + base::plural(found, "key") + " are an optimizer's by name"},
                                {std::string(kFresh)}});
  finding.cause.keys = found;
  return finding;
}

}  // namespace

std::optional<Finding> find_optimizer_state(const Case& facts) {
  if (facts.text == nullptr) return std::nullopt;
  if (auto finding = slots(facts)) return finding;
  if (facts.text->tells_keys() && facts.text->find(Symptom::OptimizerGroups) == nullptr) return std::nullopt;
  return read_sightings(facts, kReadings);
}

}  // namespace tenon::diagnosis
