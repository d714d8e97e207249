// renamed_modules: the same tensors under other names, seen from names alone: one edit of neighbouring levels turns the
// checkpoint's names into the model's.
#include <algorithm>
#include <unordered_map>
#include <unordered_set>

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

constexpr Reading kReadings[] = {
    {Symptom::RenamedOnLoad, 0.72, "a loader renames keys that do not need it, or the reverse",
     "code that reads old files changes names; the file already has the new ones",
     "load without the renaming, or mark the file's version"},
    {Symptom::CppArchive, 0.55, "the module tree and the file name the same layers in different ways",
     "names are made by the attribute names of each language's code", "rename one side's modules"},
};

std::string level_text(const std::string& level) { return level.empty() ? "nothing" : quoted(level); }

constexpr double kUnlike = 0.3;  // likeness of two names that have nothing in common
constexpr std::size_t kLeastKinds = 3;

/// Layers by name among the names that a change pairs: `conv`, `bn`, or the places of a sequence.
std::size_t kinds_of(const LevelEdit& edit) {
  std::unordered_set<std::string_view> kinds;
  for (const OpenName& row : edit.missing) kinds.insert(leaf_of(module_of(row.name)));
  return kinds.size();
}

std::size_t rows_in_modules(const std::vector<OpenName>& rows, const std::vector<OpenName>& paired) {
  std::unordered_set<std::string_view> modules;
  for (const OpenName& row : paired) modules.insert(module_of(row.name));
  return static_cast<std::size_t>(std::count_if(rows.begin(), rows.end(), [&](const OpenName& row) {
    return modules.count(module_of(row.name)) > 0 && !is_batch_counter(row.name);
  }));
}

/// A module that was renamed has the same tensors under both names: share of the tensors of the modules that pair.
double wholeness(const LevelEdit& edit, const OpenRows& rows) {
  const std::size_t pairs = std::min(edit.missing.size(), edit.unexpected.size());
  const std::size_t most =
      std::max(rows_in_modules(rows.missing, edit.missing), rows_in_modules(rows.unexpected, edit.unexpected));
  return std::min(1.0, share_of(pairs, most));
}

/// Statistics of normalisations on one side only: other layers, not other names.
bool are_other_layers(const OpenRows& rows) {
  constexpr std::size_t kLeast = 6;
  const auto statistics = [](const std::vector<OpenName>& side) {
    return std::any_of(side.begin(), side.end(),
                       [](const OpenName& row) { return family_of(row.name) == Family::NormStatistics; });
  };
  return rows.missing.size() >= kLeast && rows.unexpected.size() >= kLeast &&
         statistics(rows.missing) != statistics(rows.unexpected);
}

bool is_digit(char c) { return c >= '0' && c <= '9'; }

/// A layer of a block that became a block of its own, or the reverse: `conv1` and `conv1.conv`, `bn1` and `conv1.bn`.
bool is_block_naming(std::string_view single, std::string_view block) {
  const std::string_view first = first_level(block), last = leaf_of(block);
  const auto letters = static_cast<std::size_t>(std::find_if(single.begin(), single.end(), is_digit) - single.begin());
  const std::string_view number = single.substr(letters);
  return single.find('.') == std::string_view::npos && first.size() + last.size() + 1 == block.size() && letters > 1 &&
         !number.empty() && last == single.substr(0, letters) && first.ends_with(number);
}

bool is_block_edit(const LevelEdit& edit) {
  return is_block_naming(edit.from, edit.to) || is_block_naming(edit.to, edit.from);
}

double edit_confidence(const LevelEdit& edit, const OpenRows& rows) {
  const auto [fewer, more] = std::minmax({rows.missing.size(), rows.unexpected.size()});
  const std::size_t pairs = std::min(edit.missing.size(), edit.unexpected.size());
  const double few = edit.missing.size() < 2 ? 0.75 : 1;
  const bool is_level = edit.from.empty() || edit.to.empty();  // that is a wrapper's or a container's doing first
  const bool is_wrapper = edit.at_front || (is_wrapper_level(edit.from) && is_wrapper_level(edit.to));
  const double alike = is_block_edit(edit) ? 0.9 : is_level ? (is_wrapper ? 0 : 0.8) : likeness(edit.from, edit.to);
  const double certainty = is_index_edit(edit) ? 0.5 : edit.by_template ? 0.85 : 1;
  if (is_regrouping(edit)) return few * (0.5 + 0.3 * share_of(pairs, fewer));
  // Two parts that have a layer or two of the commonest kinds each, and names that have nothing in common.
  const bool are_strangers = !is_level && !is_index_edit(edit) && alike < kUnlike && kinds_of(edit) < kLeastKinds;
  const double other = are_strangers ? 0.6 : 1;
  const double kinds = are_other_layers(rows) ? 0.7 : 1;
  return few * certainty * other * kinds * (0.5 + 0.5 * wholeness(edit, rows)) *
         (0.35 + 0.25 * share_of(pairs, fewer) + 0.15 * share_of(pairs, more) + 0.2 * alike);
}

bool explains_most(const LevelEdit& edit, const OpenRows& rows) {
  const std::size_t pairs = std::min(edit.missing.size(), edit.unexpected.size());
  constexpr double kAlike = 0.4;
  const bool is_level = edit.from.empty() || edit.to.empty() || is_regrouping(edit);
  if (!is_level && likeness(edit.from, edit.to) < kAlike) return false;
  return !is_index_edit(edit) && pairs * 2 >= std::max(rows.missing.size(), rows.unexpected.size());
}

/// One change after another, each over what the ones before left: a refactored block has several new names.
std::vector<LevelEdit> edits_of(const OpenRows& rows) {
  constexpr std::size_t kMostEdits = 6, kMostNames = 4'000;
  std::vector<LevelEdit> edits;
  std::vector<OpenName> missing = rows.missing, unexpected = rows.unexpected;
  while (edits.size() < kMostEdits && (edits.empty() || missing.size() + unexpected.size() < kMostNames)) {
    auto edit = best_edit(missing, unexpected);
    if (!edit || (!edits.empty() && edit->missing.size() < 2)) break;
    std::unordered_set<std::string_view> explained;
    for (const auto* side : {&edit->missing, &edit->unexpected})
      for (const OpenName& row : *side) explained.insert(row.name);
    const auto is_left = [&](const OpenName& row) { return explained.count(row.name) == 0; };
    missing = rows_where(missing, is_left);
    unexpected = rows_where(unexpected, is_left);
    edits.push_back(std::move(*edit));
  }
  return edits;
}

/// All changes as one: the first one's levels, and everything that any of them explains.
LevelEdit joined(std::vector<LevelEdit> edits) {
  LevelEdit all = std::move(edits.front());
  for (std::size_t i = 1; i < edits.size(); ++i) {
    all.missing.insert(all.missing.end(), edits[i].missing.begin(), edits[i].missing.end());
    all.unexpected.insert(all.unexpected.end(), edits[i].unexpected.begin(), edits[i].unexpected.end());
    all.by_template = all.by_template || edits[i].by_template;
  }
  return all;
}

std::optional<Finding> from_edit(const Case& facts, const OpenRows& rows) {
  auto edits = edits_of(rows);
  if (edits.empty()) return std::nullopt;
  const std::size_t changes = edits.size();
  const LevelEdit edit = joined(std::move(edits));
  Finding finding =
      say(facts, {edit_confidence(edit, rows),
                  "the checkpoint has " + level_text(edit.from) + " where the model has " + level_text(edit.to) +
                      (changes > 1 ? " (and " + base::plural(changes - 1, "change") + " more)" : ""),
                  "the code was refactored, or another library's naming is used: the tensors may be the same",
                  {part_text(edit.missing.size(), rows.missing.size(), "missing key") + " and " +
                   part_text(edit.unexpected.size(), rows.unexpected.size(), "unexpected key") + " agree after " +
                   (changes > 1 ? base::plural(changes, "change") : std::string("this one change")) +
                   (edit.by_template ? ", indices aside" : "")},
                  {"rename, where shapes agree too    tenon check FILE --against MODEL"}});
  tell_missing(edit.missing, finding);
  tell_unexpected(edit.unexpected, finding);
  if (are_kindred(rows)) finding.cause.keys = rows.size();  // what no edit pairs is of the same layers
  if (!explains_most(edit, rows)) {  // then another network is as likely, and may speak of the same names
    finding.told_want.clear();
    finding.told_have.clear();
  }
  finding.cause.picture.push_back(
      {std::string(edit.unexpected.front().name), std::string(edit.missing.front().name), ""});
  return finding;
}

/// `network0_lstm0` and `network1_lstm0`, `dense_1` and `dense_3`: frameworks that count the layers of a process name
/// them so, and another process counts from elsewhere.
std::optional<Finding> counted_otherwise(const Case& facts, const OpenRows& rows) {
  const auto& fewer = rows.missing.size() <= rows.unexpected.size() ? rows.missing : rows.unexpected;
  const auto& more = &fewer == &rows.missing ? rows.unexpected : rows.missing;
  const auto is_counted = [](const OpenName& row) {
    const std::string form = template_of(row.name);
    return form.find("#_") != std::string::npos || form.find("_#") != std::string::npos;
  };
  std::unordered_set<std::string> forms;
  for (const OpenName& row : more) forms.insert(template_of(row.name));
  const auto found =
      rows_where(fewer, [&](const OpenName& row) { return is_counted(row) && forms.count(template_of(row.name)) > 0; });
  if (fewer.empty() || found.size() * 10 < fewer.size() * 9) return std::nullopt;
  Finding finding = say(facts, {0.7,
                                "names agree but for the numbers in them: " + list_text(names_of_rows(found)),
                                "some frameworks count the layers that a process has made, and name them so",
                                {part_text(found.size(), fewer.size(), "key") + " agree, numbers aside"},
                                {"build the model first in a new process, or load by order"}});
  finding.cause.keys = rows.size();
  return finding;
}

/// Same leaves on both sides and no edit between them: a rename is possible, and no more than that.
std::optional<Finding> by_leaves(const Case& facts, const OpenRows& rows) {
  if (rows.missing.empty() || rows.unexpected.empty()) return std::nullopt;
  std::vector<OpenName> missing, unexpected;
  for (const OpenName& row : rows.missing)
    if (std::any_of(
            rows.unexpected.begin(),
            rows.unexpected.begin() + static_cast<std::ptrdiff_t>(std::min<std::size_t>(rows.unexpected.size(), 64)),
            [&](const OpenName& other) { return leaf_of(other.name) == leaf_of(row.name); }))
      missing.push_back(row);
  if (missing.empty()) return std::nullopt;
  const double alike = likeness(rows.missing.front().name, rows.unexpected.front().name);
  const std::size_t fewer = std::min(rows.missing.size(), rows.unexpected.size()),
                    more = std::max(rows.missing.size(), rows.unexpected.size());
  Finding finding = say(facts, {0.25 + 0.3 * alike * share_of(fewer, more),
                                "the two sides may name the same tensors in different ways",
                                "leaves agree, paths do not; names alone cannot tell a rename from another network",
                                {base::plural(rows.missing.size(), "missing key") + " against " +
                                 base::plural(rows.unexpected.size(), "unexpected key")},
                                {"shapes decide    tenon check FILE --against MODEL"}});
  finding.cause.keys = rows.missing.size() + rows.unexpected.size();
  picture_of(rows.missing, rows.unexpected, {}, finding.cause);
  return finding;
}

/// The program asks for its names one by one, and stopped at the first that is not there.
std::optional<Finding> first_name(const Case& facts, const OpenRows& rows) {
  if (facts.text == nullptr || !facts.text->is_first_only || rows.size() != 1 || !rows.mismatched.empty())
    return std::nullopt;
  const bool in_file = rows.missing.empty();
  const std::string_view name = in_file ? rows.unexpected.front().name : rows.missing.front().name;
  Finding finding = say(facts, {in_file ? 0.42 : 0.6,
                                "the first name that the program looks for is not there: " + quoted(name),
                                "code that goes through names one by one knows them in one spelling, that of one "
                                "project or release",
                                {"1 name told, the others not"},
                                {"see what the file's names are    tenon inspect FILE"}});
  finding.cause.keys = 1;
  return finding;
}

/// The same few parts are missing, or left over, in every block: under another name they may be there; one side is cut
/// off.
std::optional<Finding> one_sided(const Case& facts, const OpenRows& rows) {
  constexpr std::size_t kLeast = 6;
  if (!rows.mismatched.empty() || (!rows.missing.empty() && !rows.unexpected.empty())) return std::nullopt;
  const auto& side = rows.missing.empty() ? rows.unexpected : rows.missing;
  std::unordered_map<std::string, std::size_t> templates;
  for (const OpenName& row : side) ++templates[template_of(row.name)];
  const auto repeated = static_cast<std::size_t>(
      std::count_if(templates.begin(), templates.end(), [](const auto& entry) { return entry.second >= 2; }));
  if (side.size() < kLeast) return std::nullopt;
  const auto chunked =
      rows_where(side, [](const OpenName& row) { return template_of(row.name).find(".#.#.") != std::string::npos; });
  const bool is_chunked =
      chunked.size() * 10 >= side.size() * 9 && common_module(side).find(".") != std::string_view::npos;
  const auto attention = rows_where(side, [](const OpenName& row) {
    const bool is_called =
        row.name.find("attn") != std::string_view::npos || row.name.find("attention") != std::string_view::npos;
    return is_called && is_plain_leaf(leaf_of(row.name)) && !is_normalisation(module_of(row.name));
  });
  const bool is_of_attention = attention.size() == side.size();  // the attention is there, by other names
  const auto tail = index_tail(side);
  const bool is_tail = tail && tail->first > 1 && tail->rows.size() * 10 >= side.size() * 9;  // the blocks before fit
  const bool is_everywhere = repeated > 0 && templates.size() * 2 <= side.size() * 3 / 2;
  Finding finding =
      say(facts, {is_chunked        ? 0.55
                  : is_tail         ? 0.28
                  : is_of_attention ? 0.6
                  : is_everywhere   ? 0.42
                                    : 0.36,
                  std::string(is_everywhere ? "the same parts are left over in every block" : "parts are left over") +
                      ": under other names the other side may have them",
                  "one side's names are not shown",
                  {base::plural(side.size(), "key") + " of " + base::plural(templates.size(), "kind")},
                  {"see both sides' names    tenon check FILE --against MODEL"}});
  finding.cause.keys = side.size();
  picture_of(rows.missing, rows.unexpected, {}, finding.cause);
  return finding;
}

}  // namespace

std::optional<Finding> find_renamed_modules(const Case& facts) {
  if (facts.knowledge == Knowledge::Whole) return std::nullopt;
  const OpenRows rows = open_rows(facts);
  if (auto finding = from_edit(facts, rows)) return finding;
  if (auto finding = counted_otherwise(facts, rows)) return finding;
  if (auto finding = by_leaves(facts, rows)) return finding;
  if (auto finding = first_name(facts, rows)) return finding;
  if (auto finding = one_sided(facts, rows)) return finding;
  return read_sightings(facts, kReadings);
}

}  // namespace tenon::diagnosis
