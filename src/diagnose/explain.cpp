// explain: a pasted error text, alone or beside the files it speaks of.
//
//   text alone          two partial listings out of it, then the same rules
//   one file + text     the other side is rebuilt: model = checkpoint - unexpected + missing, and the reverse
//   both files + text   the files decide; the text adds what only a running program could see
#include <tenon/diagnose.hpp>

#include <algorithm>
#include <unordered_map>
#include <unordered_set>

#include "base/text.hpp"
#include "diagnose/compare.hpp"
#include "diagnose/engine.hpp"
#include "diagnose/phrases.hpp"
#include "diagnose/roots.hpp"

namespace tenon {
namespace {

using namespace diagnosis;  // NOLINT: this file is the room's door

constexpr std::string_view kNothingKnown =
    "the text names no keys, shapes or loader's message that tenon knows: paste the whole error, or give the files "
    "with "
    "--checkpoint and --against";

/// One side of a text and the names that belong to the other: enough to rebuild what the text does not show.
struct Change {
  const std::vector<std::string>& leaving;
  const std::vector<std::string>& coming;
  Shape Mismatch::*shape;
};

Listing rebuilt(const Listing& known, const Change& change, const TextFacts& text, std::string label) {
  const std::unordered_set<std::string_view> leaving(change.leaving.begin(), change.leaving.end());
  std::unordered_map<std::string_view, const Shape*> other_shape;
  for (const Mismatch& row : text.mismatched) other_shape.emplace(row.key, &(row.*change.shape));
  Listing listing;
  listing.label = std::move(label);
  for (const TensorSpec& spec : known.tensors) {
    if (leaving.count(spec.name) > 0) continue;
    TensorSpec copy{spec.name, {}, spec.shape, spec.role, {}};
    if (const auto found = other_shape.find(spec.name); found != other_shape.end()) copy.shape = *found->second;
    listing.tensors.push_back(std::move(copy));
  }
  for (const std::string& name : change.coming) listing.tensors.push_back({name, {}, {}, Role::Unknown, {}});
  return listing;
}

/// The part of a checkpoint that the text speaks of: the root with most of the names that it says are in the file.
Listing spoken_of(const Listing& checkpoint, const TextFacts& text) {
  std::unordered_set<std::string_view> said(text.unexpected.begin(), text.unexpected.end());
  for (const Mismatch& row : text.mismatched) said.insert(row.key);
  std::string best_path;
  std::size_t best = 0;
  for (const Root& root : roots_of(checkpoint)) {
    const auto count = static_cast<std::size_t>(std::count_if(
        root.tensors.begin(), root.tensors.end(), [&](const NamedShape& row) { return said.count(row.name) > 0; }));
    if (count <= best) continue;
    best = count;
    best_path = root.path;
  }
  return best_path.empty() ? checkpoint : list(*checkpoint.values, best_path);
}

/// True when the names that the text says are on a side are there, so that the other side can be rebuilt from it.
bool is_about(const Listing& listing, const std::vector<std::string>& names, const TextFacts& text) {
  std::unordered_set<std::string_view> present;
  for (const TensorSpec& spec : listing.tensors) present.insert(spec.name);
  const auto has = [&](const std::string& name) { return present.count(name) > 0; };
  return std::all_of(names.begin(), names.end(), has) &&
         std::all_of(text.mismatched.begin(), text.mismatched.end(), [&](const Mismatch& row) { return has(row.key); });
}

/// What load_state_dict returns where nothing is missing or left over.
constexpr std::string_view kAllMatched = "All keys matched successfully";

Report from_text(const TextFacts& text, std::string_view input) {
  const Listing checkpoint = checkpoint_shown(text);
  const Listing target = target_shown(text);
  plan::State start(checkpoint);
  Gap gap = gap_between(start, target);
  Case facts{checkpoint, target, Knowledge::Partial, &text, nullptr, std::move(start), std::move(gap)};
  Report report;
  report.checkpoint_label = checkpoint.label;
  report.target_label = target.label;
  report.difference.missing = text.missing;
  report.difference.unexpected = text.unexpected;
  report.difference.mismatched = text.mismatched;
  solve(facts, report);
  if (text.tells_failure())
    report.fits = false;
  else if (input.find(kAllMatched) != std::string_view::npos)
    report.fits = true;
  else
    report.advice.emplace_back(kNothingKnown);
  if (text.tells_failure() && report.causes.empty())
    report.advice.push_back("the text alone does not tell the cause: give the files with --checkpoint and --against");
  report.not_checked.push_back("only what the text shows was looked at: matched keys, dtypes and values are not known");
  if (text.is_cut)
    report.not_checked.push_back("the text cuts its lists short: there may be more keys than are counted here");
  return report;
}

/// Diagnosis of rebuilt listings: what rests on the text is said.
Report from_rebuilt(const Listing& checkpoint, const Listing& target, const TextFacts& text) {
  Report report = diagnosis::compare(checkpoint, target, &text);
  report.not_checked.push_back(
      "one side was rebuilt from the text: its dtypes, and shapes of keys it alone has, are not known");
  return report;
}

Report from_files(const Listing& checkpoint, const Listing& target, const TextFacts& text) {
  const Listing model = target_model(checkpoint, target);
  Report report = diagnosis::compare(checkpoint, model, &text);
  if (report.difference.names_and_shapes_fit() && text.tells_keys())
    report.notes.push_back(
        "the text names " + base::plural(text.missing.size() + text.unexpected.size() + text.mismatched.size(), "key") +
        " that do not fit, and these two files do: the text is of another pair, or the program took another "
        "part of the file");
  return report;
}

}  // namespace

Report explain(const ExplainInput& input) {
  const TextFacts text = read_text(input.text);
  if (input.checkpoint && input.target) return from_files(*input.checkpoint, *input.target, text);
  if (text.tells_keys() && !text.is_cut && input.checkpoint) {
    const Listing checkpoint = spoken_of(*input.checkpoint, text);
    if (is_about(checkpoint, text.unexpected, text))
      return from_rebuilt(
          checkpoint,
          rebuilt(checkpoint, {text.unexpected, text.missing, &Mismatch::model}, text, target_shown(text).label), text);
  }
  if (text.tells_keys() && !text.is_cut && input.target && is_about(*input.target, text.missing, text))
    return from_rebuilt(rebuilt(*input.target, {text.missing, text.unexpected, &Mismatch::checkpoint}, text,
                                checkpoint_shown(text).label),
                        *input.target, text);
  return from_text(text, input.text);
}

}  // namespace tenon
