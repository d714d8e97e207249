// new_modules: the model has parts that the checkpoint never had; they stay as initialised, and must be trained.
#include <algorithm>
#include <set>

#include "base/text.hpp"
#include "diagnose/families.hpp"
#include "diagnose/names.hpp"
#include "diagnose/phrases.hpp"
#include "diagnose/reading.hpp"
#include "diagnose/rules.hpp"
#include "diagnose/saying.hpp"
#include "diagnose/structure.hpp"

namespace tenon::diagnosis {
namespace {

/// A few kinds of names, each in several blocks from the first one on, not below one new part.
bool is_in_every_block(const std::vector<OpenName>& rows) {
  std::set<std::string> templates;
  for (const OpenName& row : rows) templates.insert(template_of(row.name));
  const bool has_first = std::any_of(
      rows.begin(), rows.end(), [](const OpenName& row) { return row.name.find(".0.") != std::string_view::npos; });
  return rows.size() >= 8 && has_first && templates.size() * 2 <= rows.size() + 4;
}

/// What detectors and their kin build upon a backbone: a file of the backbone alone has none of it.
bool is_upper_part(std::string_view level) {
  constexpr std::string_view kParts[] = {"neck", "fpn", "rpn", "roi_head", "bbox_head", "mask_head", "decode_head"};
  return std::any_of(std::begin(kParts), std::end(kParts),
                     [&](std::string_view part) { return level.find(part) != std::string_view::npos; });
}

/// Subtrees of the model in which everything is missing; one or a few say that parts were added.
double confidence(const OpenRows& rows, std::size_t levels, bool is_one_subtree, bool is_first_only) {
  const bool is_remainder = rows.unexpected.size() * 8 <= rows.missing.size();  // what is left over is a layer or two
  // A head that is left over is of the file's task; a part within the blocks that are there is no other task's.
  const bool is_put_in = are_within_blocks(rows.missing) && !rows.unexpected.empty() &&
                         std::all_of(rows.unexpected.begin(), rows.unexpected.end(),
                                     [](const OpenName& row) { return is_called_head(first_level(row.name)); });
  const double only = !rows.mismatched.empty() ? 0.6 : rows.unexpected.empty() ? 1 : is_remainder ? 0.9 : 0.6;
  const double focus = is_one_subtree ? 1 : levels <= 3 ? 0.85 : 0.6;
  const bool is_all =
      rows.missing.size() >= 6 && common_module(rows.missing).empty() && levels > 1;  // it looks like everything
  const double everywhere = is_in_every_block(rows.missing) ? 0.6 : 1;  // then a renamed part is as likely
  const auto quantised =
      rows_where(rows.missing, [](const OpenName& row) { return family_of(row.name) == Family::Quantised; });
  const double plain = quantised.size() * 3 >= rows.missing.size() ? 0.5 : 1;  // then that explains them
  const bool are_extras = std::all_of(rows.missing.begin(), rows.missing.end(),
                                      [](const OpenName& row) { return family_of(row.name) == Family::Training; });
  if (is_put_in) return 0.76;
  if (are_extras) return (is_first_only ? 0.4 : 0.7) * only;  // losses and critics, which files for use leave out
  if (are_normalisations(rows.missing)) return 0.45 * only;   // an option, or folding
  const bool is_everything = is_all && begins_network(rows.missing.front().name);
  if (is_all && !is_everything && levels <= 3) return only * (everywhere < 1 ? 0.45 : 0.55);
  const bool is_upper = is_first_only && is_upper_part(first_level(rows.missing.front().name));
  const double first = is_first_only && !is_upper ? 0.6 : 1;  // what else is missing is not told
  return only * focus * everywhere * plain * first * (is_everything ? 0.45 : is_all ? 0.6 : 0.75);
}

constexpr Reading kReadings[] = {
    {Symptom::MissingCount, 0.5, "the model has % tensors that the file does not hold",
     "parts that were added to the model are not in a file of the model without them",
     "see which they are    tenon check FILE --against MODEL"},
};

}  // namespace

std::optional<Finding> find_new_modules(const Case& facts) {
  const OpenRows rows = open_rows(facts);
  if (rows.empty()) return read_sightings(facts, kReadings);
  if (rows.missing.empty() || rows.missing.size() < rows.unexpected.size()) return std::nullopt;
  if (facts.knowledge == Knowledge::Whole && facts.gap.matched.size() < rows.missing.size()) return std::nullopt;
  const auto levels = first_levels(rows.missing);
  const std::string_view subtree = common_module(rows.missing);
  const auto leaf = shared_leaf(rows.missing);
  Finding finding =
      say(facts, {confidence(rows, levels.size(), !subtree.empty() || levels.size() == 1,
                             facts.text != nullptr && facts.text->is_first_only),
                  "the model has parts that the checkpoint does not hold: " +
                      (subtree.empty() ? list_text(levels) : quoted(subtree)),
                  "a part was added to the model after the checkpoint was saved, or the file is of a model without it",
                  {base::plural(rows.missing.size(), "missing key") + " in " + base::plural(levels.size(), "part") +
                   (leaf ? ", all called " + *leaf : "")},
                  {"load without strict and train the new parts; outputs that pass through them are random before"}});
  if (facts.knowledge == Knowledge::Whole) {
    tell_missing(rows.missing, finding);
  } else {
    tell_missing(rows.missing, finding);
    finding.told_want.clear();  // other causes fit the same names: they may speak, too
  }
  picture_of(rows.missing, {}, {}, finding.cause);
  return finding;
}

}  // namespace tenon::diagnosis
