#include "diagnose/prefix_fit.hpp"

#include <algorithm>
#include <unordered_map>

namespace tenon::diagnosis {
namespace {

constexpr std::size_t kMaxLevels = 32;
constexpr std::size_t kMaxChain = 6;  // common prefixes tried on each side when one is replaced by another

struct Votes {
  std::size_t keys = 0, shapes = 0;
};
using Ballot = std::unordered_map<std::string_view, Votes>;
using ByName = std::unordered_map<std::string_view, const Shape*>;

ByName by_name(std::span<const NamedShape> names) {
  ByName map;
  map.reserve(names.size());
  for (const NamedShape& row : names) map.try_emplace(row.name, row.shape);
  return map;
}

bool agree(const Shape* a, const Shape* b) { return a == nullptr || b == nullptr || *a == *b; }

/// Calls `take(prefix, rest)` for every place where a dot parts the name, from the front.
template <class Take>
void for_each_prefix(std::string_view name, Take take) {
  std::size_t at = 0;
  for (std::size_t level = 0; level < kMaxLevels; ++level) {
    const auto dot = name.find('.', at);
    if (dot == std::string_view::npos || dot + 1 == name.size()) return;
    at = dot + 1;
    take(name.substr(0, at), name.substr(at));
  }
}

/// Which prefixes of the longer names leave shorter names.
Ballot vote(std::span<const NamedShape> longer, const ByName& shorter) {
  Ballot ballot;
  for (const NamedShape& row : longer)
    for_each_prefix(row.name, [&](std::string_view prefix, std::string_view rest) {
      const auto found = shorter.find(rest);
      if (found == shorter.end()) return;
      Votes& votes = ballot[prefix];
      ++votes.keys;
      if (agree(row.shape, found->second)) ++votes.shapes;
    });
  return ballot;
}

bool is_better(const Votes& a, const Votes& b) { return a.shapes != b.shapes ? a.shapes > b.shapes : a.keys > b.keys; }
bool is_equal(const Votes& a, const Votes& b) { return a.shapes == b.shapes && a.keys == b.keys; }

struct Winner {
  std::string_view prefix;
  Votes votes;
  std::vector<std::string> rivals;
};

/// Among equals the shorter prefix, then the first in the alphabet: the answer must not depend on hashing.
Winner count(const Ballot& ballot) {
  Winner winner;
  const auto is_before = [](std::string_view a, std::string_view b) {
    return a.size() != b.size() ? a.size() < b.size() : a < b;
  };
  for (const auto& [prefix, votes] : ballot)
    if (is_better(votes, winner.votes) || (is_equal(votes, winner.votes) && is_before(prefix, winner.prefix)))
      winner = {prefix, votes, {}};
  for (const auto& [prefix, votes] : ballot)
    if (prefix != winner.prefix && is_equal(votes, winner.votes)) winner.rivals.emplace_back(prefix);
  std::sort(winner.rivals.begin(), winner.rivals.end());
  return winner;
}

/// Prefixes that more than half of the names share, from short to long; there is at most one for each level.
std::vector<std::string_view> common_prefixes(std::span<const NamedShape> names) {
  std::unordered_map<std::string_view, std::size_t> counts;
  for (const NamedShape& row : names)
    for_each_prefix(row.name, [&](std::string_view prefix, std::string_view) { ++counts[prefix]; });
  std::vector<std::string_view> common;
  for (const auto& [prefix, times] : counts)
    if (times * 2 > names.size()) common.push_back(prefix);
  std::sort(common.begin(), common.end(), [](std::string_view a, std::string_view b) { return a.size() < b.size(); });
  if (common.size() > kMaxChain) common.resize(kMaxChain);
  return common;
}

/// One prefix taken off and another put before: `module.encoder.conv1` -> `backbone.conv1`.
PrefixFit replaced_prefix(std::span<const NamedShape> have, std::span<const NamedShape> want) {
  PrefixFit best;
  Votes best_votes;
  const ByName wanted = by_name(want);
  const auto added = common_prefixes(want);
  std::string name;
  for (const std::string_view strip : common_prefixes(have))
    for (const std::string_view add : added) {
      Votes votes;
      for (const NamedShape& row : have) {
        if (!row.name.starts_with(strip)) continue;
        name.assign(add).append(row.name.substr(strip.size()));
        const auto found = wanted.find(name);
        if (found == wanted.end()) continue;
        ++votes.keys;
        if (agree(row.shape, found->second)) ++votes.shapes;
      }
      if (!is_better(votes, best_votes)) continue;
      best_votes = votes;
      best = {std::string(strip), std::string(add), votes.keys, votes.shapes, {}};
    }
  return best;
}

}  // namespace

PrefixFit best_prefix(std::span<const NamedShape> have, std::span<const NamedShape> want) {
  const Ballot strip_ballot = vote(have, by_name(want));
  const Ballot add_ballot = vote(want, by_name(have));
  const Winner strip = count(strip_ballot);
  const Winner add = count(add_ballot);
  const bool adds = is_better(add.votes, strip.votes);
  const Winner& one = adds ? add : strip;
  PrefixFit fit{adds ? "" : std::string(strip.prefix), adds ? std::string(add.prefix) : "", one.votes.keys,
                one.votes.shapes, one.rivals};
  if (fit.shapes * 2 >= std::min(have.size(), want.size())) return fit;
  PrefixFit both = replaced_prefix(have, want);
  return is_better({both.keys, both.shapes}, {fit.keys, fit.shapes}) ? both : fit;
}

}  // namespace tenon::diagnosis
