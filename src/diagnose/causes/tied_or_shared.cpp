// tied_or_shared: weights that were one tensor are two, or the reverse.
#include <algorithm>
#include <string>
#include <string_view>

#include "base/text.hpp"
#include "diagnose/function/function_difference.hpp"
#include "diagnose/phrases.hpp"
#include "diagnose/rules.hpp"

namespace tenon::diagnosis {

namespace {

constexpr std::string_view kTied = "tied to ", kSame = "the same module as ";

bool is_sharing(const ArchitectureChange& change) { return change.what == "sharing"; }
bool is_tie(const ArchitectureChange& change) { return is_sharing(change) || change.what.starts_with("tie of "); }

std::string name_of(const ArchitectureChange& change) {
  return is_sharing(change) ? change.module : change.what.substr(std::string_view("tie of ").size());
}

/// The name that one side shares with; "" where it stands alone.
std::string partner_in(const std::string& side) {
  for (const std::string_view phrase : {kTied, kSame})
    if (side.starts_with(phrase)) return side.substr(phrase.size());
  return {};
}

/// "tied to `embed.weight`"
std::string state_text(const std::string& side) {
  const std::string partner = partner_in(side);
  return partner.empty() ? side : side.substr(0, side.size() - partner.size()) + quoted(partner);
}

std::size_t tie_count(const Blueprint& blueprint) {
  const auto tensors = std::count_if(blueprint.tensors.begin(), blueprint.tensors.end(),
                                     [](const TensorSpec& spec) { return !spec.tied_to.empty(); });
  const auto modules = std::count_if(blueprint.modules.begin(), blueprint.modules.end(),
                                     [](const ModuleSpec& module) { return !module.same_as.empty(); });
  return static_cast<std::size_t>(tensors + modules);
}

std::string help_of(const ArchitectureChange& change) {
  const std::string name = name_of(change), partner = partner_in(change.from);
  if (partner.empty())
    return "give " + quoted(name) + " its own again, or see that both saved values are equal    tenon diff";
  return "tie them again    " + attribute_text(name) + " = " + attribute_text(partner);
}

}  // namespace

std::optional<Finding> find_tied_or_shared(const Case& facts) {
  if (!facts.function) return std::nullopt;
  std::vector<const ArchitectureChange*> changes;
  for (const ArchitectureChange& change : facts.function->architecture)
    if (is_tie(change)) changes.push_back(&change);
  if (changes.empty()) return std::nullopt;
  Finding finding;
  Cause& cause = finding.cause;
  const ArchitectureChange& first = *changes.front();
  cause.keys = changes.size();
  cause.confidence = 0.99;  // both blueprints say which tensors share their storage
  cause.summary = quoted(name_of(first)) + " was " + state_text(first.from) + " and is " + state_text(first.to);
  if (changes.size() > 1) cause.summary += " (and " + base::plural(changes.size() - 1, "difference") + " more)";
  cause.place = facts.checkpoint.label + ", blueprint";
  cause.why = partner_in(first.from).empty() ? "one storage takes both values: the one that is copied last wins"
                                             : "both copies are loaded with the same values; the first training step "
                                               "moves them apart";
  cause.evidence = {"shared names: " + std::to_string(tie_count(facts.function->from)) + " in the saved model, " +
                    std::to_string(tie_count(facts.function->to)) + " in the model"};
  for (const ArchitectureChange* change : changes)
    if (cause.picture.size() < 4) cause.picture.push_back({change->from, change->to, name_of(*change)});
  for (const ArchitectureChange* change : changes)
    if (cause.help.size() < 3) cause.help.push_back(help_of(*change));
  return finding;
}

}  // namespace tenon::diagnosis
