// new_modules: the model has parts that the checkpoint never had; they stay as initialised, and must be trained.
#include "base/text.hpp"
#include "diagnose/names.hpp"
#include "diagnose/phrases.hpp"
#include "diagnose/rules.hpp"
#include "diagnose/saying.hpp"
#include "diagnose/structure.hpp"

namespace tenon::diagnosis {
namespace {

/// Subtrees of the model in which everything is missing; one or a few say that parts were added.
double confidence(const OpenRows& rows, std::size_t levels, bool is_one_subtree) {
  const double only = rows.unexpected.empty() && rows.mismatched.empty() ? 1 : 0.6;
  const double focus = is_one_subtree ? 1 : levels <= 3 ? 0.85 : 0.6;
  return only * focus * 0.75;
}

}  // namespace

std::optional<Finding> find_new_modules(const Case& facts) {
  const OpenRows rows = open_rows(facts);
  if (rows.missing.empty() || rows.missing.size() < rows.unexpected.size()) return std::nullopt;
  if (facts.knowledge == Knowledge::Whole && facts.gap.matched.empty()) return std::nullopt;
  const auto levels = first_levels(rows.missing);
  const std::string_view subtree = common_module(rows.missing);
  const auto leaf = shared_leaf(rows.missing);
  Finding finding = say(facts, {confidence(rows, levels.size(), !subtree.empty() || levels.size() == 1),
                                "the model has parts that the checkpoint does not hold: " + (subtree.empty() ? list_text(levels) : quoted(subtree)),
                                "a part was added to the model after the checkpoint was saved, or the file is of a model without it",
                                {base::plural(rows.missing.size(), "missing key") + " in " + base::plural(levels.size(), "part") + (leaf ? ", all called " + *leaf : "")},
                                {"load without strict and train the new parts; outputs that pass through them are random before"}});
  if (facts.knowledge == Knowledge::Whole) {
    finding.ops = keep_rows(facts, rows.missing, Applicability::Guess);
    finding.cause.keys = rows.missing.size();
  } else {
    tell_missing(rows.missing, finding);
    finding.told_want.clear();  // other causes fit the same names: they may speak, too
  }
  picture_of(rows.missing, {}, {}, finding.cause);
  return finding;
}

}  // namespace tenon::diagnosis
