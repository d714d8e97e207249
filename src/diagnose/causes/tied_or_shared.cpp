// tied_or_shared: weights that were one tensor are two, or the reverse.
#include <algorithm>

#include "base/text.hpp"
#include "diagnose/function/function_difference.hpp"
#include "diagnose/phrases.hpp"
#include "diagnose/rules.hpp"

namespace tenon::diagnosis {

std::optional<Finding> find_tied_or_shared(const Case& facts) {
  if (!facts.function) return std::nullopt;
  std::vector<const ArchitectureChange*> changes;
  for (const ArchitectureChange& change : facts.function->architecture)
    if (change.what == "sharing" || change.what.starts_with("tie of ")) changes.push_back(&change);
  if (changes.empty()) return std::nullopt;
  Finding finding;
  Cause& cause = finding.cause;
  const ArchitectureChange& first = *changes.front();
  const std::string name = first.what == "sharing" ? first.module : first.what.substr(7);
  const bool was_tied = first.from.starts_with("tied") || first.from.starts_with("the same");
  cause.keys = changes.size();
  cause.confidence = 0.99;  // both blueprints say which tensors share their storage
  cause.summary = quoted(name) + (was_tied ? " was " + first.from + " and is not any more"
                                           : " is " + first.to + ", and was not when it was saved");
  cause.place = facts.checkpoint.label + ", blueprint";
  cause.why = was_tied ? "both copies are loaded with the same values; the first training step moves them apart"
                       : "one storage takes both values: the one that is copied last wins";
  cause.evidence = {base::plural(changes.size(), "tie") + " of the blueprints differ" +
                    (changes.size() == 1 ? "s" : "")};
  for (const ArchitectureChange* change : changes)
    if (cause.picture.size() < 4)
      cause.picture.push_back({change->from, change->to, change->what == "sharing" ? change->module : change->what});
  cause.help = {was_tied ? "tie them again    model." + name + " = the tensor that it was tied to"
                         : "untie them, or check that both saved values are equal (tenon diff)"};
  return finding;
}

}  // namespace tenon::diagnosis
