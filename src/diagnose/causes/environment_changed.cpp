// environment_changed: another version, device or setting that can show in a result. Worth knowing; no reason not to
// load.
#include "base/text.hpp"
#include "diagnose/function/function_difference.hpp"
#include "diagnose/rules.hpp"

namespace tenon::diagnosis {

std::optional<Finding> find_environment_changed(const Case& facts) {
  if (!facts.function || facts.function->environment.empty()) return std::nullopt;
  const auto& changes = facts.function->environment;
  Finding finding;
  Cause& cause = finding.cause;
  cause.severity = Severity::Note;
  cause.confidence = 1;  // both blueprints say so
  cause.keys = changes.size();
  const EnvironmentChange& first = changes.front();
  cause.summary = first.what + " was " + first.from + " and is " + first.to;
  if (changes.size() > 1) cause.summary += " (and " + base::plural(changes.size() - 1, "setting") + " more)";
  cause.place = facts.checkpoint.label + ", blueprint";
  cause.why = first.consequence;
  for (const EnvironmentChange& change : changes)
    cause.evidence.push_back(change.what + ": " + change.from + " to " + change.to);
  for (const EnvironmentChange& change : changes)
    if (&change != &first) cause.notes.push_back(change.what + ": " + change.consequence);
  if (const auto& probe = facts.function->probe; probe && probe->verdict != ProbeVerdict::OtherFunction)
    cause.notes.push_back("the probe's outputs agree: for that input the change does not show");
  return finding;
}

}  // namespace tenon::diagnosis
