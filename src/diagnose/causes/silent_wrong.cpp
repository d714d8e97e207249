// silent_wrong: everything that can be compared agrees, and the outputs do not.
#include "diagnose/function/function_difference.hpp"
#include "diagnose/phrases.hpp"
#include "diagnose/rules.hpp"

namespace tenon::diagnosis {

std::optional<Finding> find_silent_wrong(const Case& facts) {
  if (!facts.function || !facts.function->probe || !facts.function->architecture.empty()) return std::nullopt;
  const ProbeComparison& probe = *facts.function->probe;
  if (probe.verdict != ProbeVerdict::OtherFunction) return std::nullopt;
  Finding finding;
  Cause& cause = finding.cause;
  cause.confidence = 0.95;  // the same input and weights, and another output
  cause.keys = 1;
  cause.summary = "the model computes something else than the saved one, with the same weights and input";
  cause.place = facts.checkpoint.label + ", probe";
  cause.why =
      "what differs has no tensors and no options that a blueprint sees: code in `forward`, or state beside the state "
      "dict";
  cause.evidence = {"probe: " + probe.detail};
  if (!probe.first_deviating_module.empty())
    cause.evidence.push_back("first module that deviates: " + quoted(probe.first_deviating_module));
  cause.help = {"look at `forward` of the first module that deviates, in both versions of the code"};
  return finding;
}

}  // namespace tenon::diagnosis
