#include "diagnose/saying.hpp"

#include <map>
#include <unordered_set>

#include "base/text.hpp"
#include "diagnose/families.hpp"
#include "diagnose/names.hpp"
#include "diagnose/phrases.hpp"
#include "plan/patterns.hpp"

namespace tenon::diagnosis {

Finding say(const Case& facts, Saying words) {
  Finding finding;
  Cause& cause = finding.cause;
  cause.confidence = words.confidence;
  cause.summary = std::move(words.summary);
  cause.place = place_of(facts);
  cause.why = std::move(words.why);
  cause.evidence = std::move(words.evidence);
  cause.help = std::move(words.help);
  return finding;
}

double share_of(std::size_t part, std::size_t whole) {
  return whole == 0 ? 0 : static_cast<double>(part) / static_cast<double>(whole);
}

std::string part_text(std::size_t part, std::size_t whole, std::string_view what) {
  return base::count_text(part) + " of " + base::plural(whole, what);
}

namespace {

/// A text shows only what differs: a glob over a module would name tensors that fit and are not shown. So names are
/// given as they are, or by their end where that end is no layer's ordinary tensor, or stands in three places or more.
std::vector<std::string> globs_of_shown(const std::vector<OpenName>& rows) {
  constexpr std::size_t kMany = 3;
  std::map<std::string, std::size_t> ends;
  const auto end_of = [](std::string_view name) {
    const std::string_view leaf = leaf_of(name), owner = leaf_of(module_of(name));
    const bool is_own = !is_plain_leaf(leaf) || leaf == "num_batches_tracked";
    return is_own || owner.empty() ? std::string(leaf) : std::string(owner) + "." + std::string(leaf);
  };
  for (const OpenName& row : rows) ++ends[end_of(row.name)];
  std::vector<std::string> globs;
  std::unordered_set<std::string> seen;
  for (const OpenName& row : rows) {
    const std::string end = end_of(row.name);
    const bool is_own = end.find('.') == std::string::npos;
    const bool is_end = row.name.size() > end.size() && (is_own ? ends[end] > 1 : ends[end] >= kMany);
    std::string glob = is_end ? "*." + end : std::string(row.name);
    if (seen.insert(glob).second) globs.push_back(std::move(glob));
  }
  return globs;
}

}  // namespace

std::vector<std::string> globs_of(const Case& facts, const std::vector<OpenName>& rows) {
  if (facts.knowledge == Knowledge::Partial) return globs_of_shown(rows);
  std::unordered_set<std::string_view> wanted, seen;
  for (const OpenName& row : rows) wanted.insert(row.name);
  std::vector<plan::Named> names;
  const auto add = [&](std::string_view name) {
    if (seen.insert(name).second) names.push_back({name, wanted.count(name) > 0});
  };
  for (const TensorSpec& spec : facts.target.tensors) add(spec.name);
  for (const Planned& tensor : facts.state.tensors()) add(tensor.spec.name);
  return plan::cover(names);
}

/// A plan of a hundred names is no plan that a person reads: then there are no operations, and the words must do.
constexpr std::size_t kMostOps = 48;

std::vector<Op> readable(std::vector<Op> ops) { return ops.size() > kMostOps ? std::vector<Op>() : ops; }

std::vector<Op> drop_rows(const Case& facts, const std::vector<OpenName>& rows, Applicability applicability) {
  std::vector<Op> ops;
  if (!rows.empty())
    for (std::string& glob : globs_of(facts, rows)) ops.push_back({Drop{std::move(glob)}, applicability});
  return readable(std::move(ops));
}

std::vector<Op> keep_rows(const Case& facts, const std::vector<OpenName>& rows, Applicability applicability) {
  std::vector<Op> ops;
  if (!rows.empty())
    for (std::string& glob : globs_of(facts, rows)) ops.push_back({KeepTarget{std::move(glob)}, applicability});
  return readable(std::move(ops));
}

}  // namespace tenon::diagnosis
