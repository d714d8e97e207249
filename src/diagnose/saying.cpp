#include "diagnose/saying.hpp"

#include <unordered_set>

#include "base/text.hpp"
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

std::vector<std::string> globs_of(const Case& facts, const std::vector<OpenName>& rows) {
  std::unordered_set<std::string_view> wanted, seen;
  for (const OpenName& row : rows) wanted.insert(row.name);
  std::vector<plan::Named> names;
  const auto add = [&](std::string_view name) {
    if (seen.insert(name).second) names.push_back({name, wanted.count(name) > 0});
  };
  for (const TensorSpec& spec : facts.target.tensors) add(spec.name);
  for (const Planned& tensor : facts.state.tensors()) add(tensor.spec.name);
  // An error text shows only what differs: "all that is shown" must not become "all".
  if (facts.knowledge == Knowledge::Partial) names.push_back({"\x01", false});
  return plan::cover(names);
}

std::vector<Op> drop_rows(const Case& facts, const std::vector<OpenName>& rows, Applicability applicability) {
  std::vector<Op> ops;
  if (!rows.empty())
    for (std::string& glob : globs_of(facts, rows)) ops.push_back({Drop{std::move(glob)}, applicability});
  return ops;
}

std::vector<Op> keep_rows(const Case& facts, const std::vector<OpenName>& rows, Applicability applicability) {
  std::vector<Op> ops;
  if (!rows.empty())
    for (std::string& glob : globs_of(facts, rows)) ops.push_back({KeepTarget{std::move(glob)}, applicability});
  return ops;
}

}  // namespace tenon::diagnosis
