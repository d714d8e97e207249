// silent_wrong: everything that can be compared agrees, and the outputs do not.
#include <algorithm>
#include <string>
#include <unordered_set>

#include "base/text.hpp"
#include "diagnose/families.hpp"
#include "diagnose/function/function_difference.hpp"
#include "diagnose/phrases.hpp"
#include "diagnose/reading.hpp"
#include "diagnose/rules.hpp"

namespace tenon::diagnosis {
namespace {

/// How many weights were sampled on both sides and are equal; 0 where nobody looked: outputs of another shape are
/// another function whatever the weights.
std::size_t equal_weights(const Probe& from, const Probe& to) {
  const bool same_forms = std::equal(
      from.outputs.begin(), from.outputs.end(), to.outputs.begin(), to.outputs.end(),
      [](const auto& a, const auto& b) { return a.shape == b.shape && dtype_kind(a.dtype) == dtype_kind(b.dtype); });
  if (!same_forms) return 0;
  std::unordered_set<std::string_view> names;
  for (const Fingerprint& print : to.state) names.insert(print.name);
  return static_cast<std::size_t>(std::count_if(from.state.begin(), from.state.end(),
                                                [&](const Fingerprint& print) { return names.count(print.name) > 0; }));
}

/// What was compared and is equal: where to look no more.
std::string agreement(const FunctionDifference& function, std::size_t weights) {
  std::string text = "equal: inputs";
  if (weights > 0) text += ", " + base::plural(weights, "sampled weight");
  if (function.modules_compared) text += ", modules and their options";
  if (function.operations_compared) text += ", operations";
  return text;
}

constexpr Reading kReadings[] = {
    {Symptom::SilentWords, 0.75, "it loads without a word, and computes something else",
     "what a load does not compare: layouts, order, dtypes, options, parts that stayed as initialised",
     "compare outputs on one input before saving and after loading; a blueprint with a probe does it    tenon check "
     "FILE --against MODEL"},
};

/// Adapters whose keys are all missing leave the base as it was: nothing fails where the load is not strict.
std::optional<Finding> unloaded_adapter(const Case& facts) {
  if (facts.knowledge == Knowledge::Whole || facts.gap.missing.empty() || !facts.gap.unexpected.empty())
    return std::nullopt;
  const bool are_adapters = std::all_of(facts.gap.missing.begin(), facts.gap.missing.end(), [&](std::size_t index) {
    return family_of(facts.want(index).name) == Family::Adapter;
  });
  if (!are_adapters) return std::nullopt;
  Finding finding;
  finding.cause.confidence = 0.35;
  finding.cause.keys = facts.gap.missing.size();
  finding.cause.summary = "the adapter stays as initialised, and where the load is not strict nothing says so";
  finding.cause.place = facts.checkpoint.label;
  finding.cause.why = "a fresh adapter changes nothing: its second factor is zero";
  finding.cause.evidence = {base::plural(facts.gap.missing.size(), "missing key") + ", all of an adapter"};
  finding.cause.help = {"compare outputs with and without the adapter"};
  return finding;
}

std::optional<Finding> from_text(const Case& facts) {
  if (facts.text == nullptr) return std::nullopt;
  if (auto finding = unloaded_adapter(facts)) return finding;
  return facts.text->tells_keys() ? std::nullopt : read_sightings(facts, kReadings);
}

}  // namespace

std::optional<Finding> find_silent_wrong_in_text(const Case& facts) { return from_text(facts); }

std::optional<Finding> find_silent_wrong(const Case& facts) {
  if (!facts.function || !facts.function->probe || !facts.function->architecture.empty()) return std::nullopt;
  if (facts.gap.size() + facts.gap.kept.size() > 0) return std::nullopt;  // tensors differ: those are the cause
  const ProbeComparison& probe = *facts.function->probe;
  if (probe.verdict != ProbeVerdict::OtherFunction) return std::nullopt;
  const std::size_t weights = equal_weights(*facts.function->from.probe, *facts.function->to.probe);
  Finding finding;
  Cause& cause = finding.cause;
  cause.confidence = 0.95;  // the same input, and another output
  cause.keys = 1;
  cause.summary = std::string("the model computes something else than the saved one, with the same ") +
                  (weights > 0 ? "weights and input" : "input");
  cause.place = facts.checkpoint.label + ", probe";
  cause.why =
      "what differs has no tensors and no options that a blueprint sees: code in `forward`, or state beside the state "
      "dict";
  cause.evidence = {"probe: " + probe.detail, agreement(*facts.function, weights)};
  const std::string& module = probe.first_deviating_module;
  if (!module.empty()) cause.evidence.push_back("first module that deviates: " + quoted(module));
  cause.help = {"compare " + (module.empty() ? std::string("`forward`") : "`forward` of " + quoted(module)) +
                " in both versions of the code"};
  return finding;
}

}  // namespace tenon::diagnosis
