// renamed_modules, where both sides are whole: the matcher found the tensors under other names.
//
// The plan renames what is nearly certain, in as few expressions as say it, and is replayed: each name must become what
// the matcher said.
#include <algorithm>
#include <unordered_map>

#include "base/text.hpp"
#include "diagnose/names.hpp"
#include "diagnose/origins/name_rules.hpp"
#include "diagnose/origins/origin_rules.hpp"
#include "diagnose/origins/origins.hpp"
#include "diagnose/phrases.hpp"

namespace tenon::diagnosis {
namespace {

struct Renames {
  std::vector<NameChange> changes;
  std::vector<std::size_t> targets;  ///< beside `changes`
  std::size_t offered = 0;           ///< likely, not sure
  double confidence = 1;
};

bool is_one_to_one(const match::Match& match) { return match.from.size() == 1 && match.how != match::How::Split; }

Renames renames_of(const Case& facts) {
  Renames renames;
  for (std::size_t i = 0; i < facts.origins->of.size(); ++i) {
    const auto& origin = facts.origins->of[i];
    if (!origin || !is_one_to_one(origin->match) || origin->specs[0].name == facts.want(i).name) continue;
    if (!origin->match.apply) {
      ++renames.offered;
      continue;
    }
    renames.changes.push_back({origin->specs[0].name, {facts.want(i).name}});
    renames.targets.push_back(i);
    renames.confidence = std::min(renames.confidence, origin->match.confidence);
  }
  return renames;
}

std::vector<std::string> names_of(const plan::State& state) {
  std::vector<std::string> names;
  for (const Planned& tensor : state.tensors()) names.push_back(tensor.spec.name);
  return names;
}

/// Where names are exchanged, one rule would find what another has just made: then all go by way of names that no
/// checkpoint has.
constexpr std::string_view kByWay = "renamed::";

/// Queries and keys go from code that turns neighbouring components (Meta's `wq`) to code that turns halves (`q_proj`
/// of transformers), or back: the rows may stand in another order, which neither names nor shapes tell.
bool crosses_rotary(const NameChange& change) {
  const std::string_view from = leaf_of(module_of(change.from)), to = leaf_of(module_of(change.to[0]));
  const auto is_pairs = [](std::string_view word) { return word == "wq" || word == "wk"; };
  const auto is_halves = [](std::string_view word) { return word == "q_proj" || word == "k_proj"; };
  return (is_pairs(from) && is_halves(to)) || (is_halves(from) && is_pairs(to));
}

std::vector<Op> operations(const std::vector<NameRule>& rules, const std::vector<NameChange>& changes,
                           std::string_view by_way) {
  std::vector<Op> ops;
  for (const NameRule& rule : rules) {
    const bool is_open = std::any_of(rule.changes.begin(), rule.changes.end(),
                                     [&](std::size_t k) { return crosses_rotary(changes[k]); });
    ops.push_back({Rename{rule.from, std::string(by_way) + rule.to[0], rule.is_regex},
                   is_open ? Applicability::Guess : Applicability::Exact});
  }
  if (!by_way.empty()) ops.push_back({StripPrefix{std::string(by_way)}, Applicability::Exact});
  return ops;
}

/// Whether the operations give every tensor the name that is wanted, and leave all others theirs.
bool replays(const plan::State& start, const std::vector<Op>& ops, const Renames& renames) {
  std::unordered_map<std::string_view, std::string_view> wanted;
  for (const NameChange& change : renames.changes) wanted[change.from] = change.to[0];
  plan::State state = start;
  for (const Op& op : ops)
    if (state.run(op) == 0) return false;
  for (std::size_t i = 0; i < state.tensors().size(); ++i) {
    const std::string& before = start.tensors()[i].spec.name;
    const auto change = wanted.find(before);
    if (state.tensors()[i].spec.name != (change == wanted.end() ? std::string_view(before) : change->second))
      return false;
  }
  return !state.collision();
}

std::vector<Op> replayed_operations(const Case& facts, const Renames& renames) {
  const auto rules = name_rules(renames.changes, names_of(facts.state));
  for (const std::string_view by_way : {std::string_view(), kByWay}) {
    auto ops = operations(rules, renames.changes, by_way);
    if (replays(facts.state, ops, renames)) return ops;
  }
  return {};
}

std::vector<PictureRow> picture(const Case& facts, const Renames& renames) {
  std::vector<PictureRow> rows;
  const std::size_t step = std::max<std::size_t>(renames.changes.size() / 3, 1);
  for (std::size_t k = 0; k < renames.changes.size() && rows.size() < 3; k += step) {
    const NameChange& change = renames.changes[k];
    rows.push_back({change.from, change.to[0], shape_of(facts.want(renames.targets[k]))});
  }
  return rows;
}

}  // namespace

std::optional<Finding> find_renamed_origins(const Case& facts) {
  const Renames renames = renames_of(facts);
  if (renames.changes.empty()) return std::nullopt;
  Finding finding;
  finding.ops = replayed_operations(facts, renames);
  if (finding.ops.empty()) return std::nullopt;
  Cause& cause = finding.cause;
  const std::size_t wanted = facts.gap.missing.size() + facts.gap.mismatched.size();
  const std::string count = base::count_text(renames.changes.size());
  cause.confidence = renames.confidence;
  cause.keys = renames.changes.size();
  cause.summary = base::plural(renames.changes.size(), "checkpoint tensor") + (cause.keys == 1 ? " has" : " have") +
                  " another name in the model";
  cause.place = place_of(facts);
  cause.why =
      "the two sides were written by different code, or the code was renamed; shapes, order of numbers, the words "
      "of the names and what repeats from block to block leave one partner for each";
  cause.evidence = {
      count + " of " + base::count_text(wanted) + " model tensors without their name found their one partner",
      base::plural(finding.ops.size(), "rule") + " replayed: each gives the name that was found"};
  cause.picture = picture(facts, renames);
  if (std::any_of(renames.changes.begin(), renames.changes.end(), crosses_rotary))
    cause.notes.push_back(
        "rows of queries and keys: one side turns neighbouring components, the other halves; a person says whether "
        "`reorder` "
        "(dim 0, view [heads, -1, 2], dims [0, 2, 1]) belongs before the rename");
  if (renames.offered > 0)
    cause.notes.push_back(base::plural(renames.offered, "more tensor") +
                          " may have a partner, which is not sure enough: --json lists them in `mapping`");
  return finding;
}

}  // namespace tenon::diagnosis
