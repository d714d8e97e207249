#include <algorithm>

#include "match/cell.hpp"
#include "match/hash.hpp"

namespace tenon::match {
namespace {

constexpr double kFewest = 2;  // cells that must agree: one that votes for itself proves nothing

double at(const std::unordered_map<std::uint64_t, double>& map, std::uint64_t key) {
  const auto found = map.find(key);
  return found == map.end() ? 0 : found->second;
}

/// How much of the whole path the prefix at `index` is: a longer one tells more.
double depth(std::size_t index, const std::vector<std::uint64_t>& path) {
  return static_cast<double>(index + 1) / static_cast<double>(path.size());
}

}  // namespace

void Votes::add(const std::vector<std::uint64_t>& source, const std::vector<std::uint64_t>& target, double weight) {
  for (const std::uint64_t a : source) source_[a] += weight;
  for (const std::uint64_t b : target) target_[b] += weight;
  for (const std::uint64_t a : source)
    for (const std::uint64_t b : target) pairs_[combined(a, b)] += weight;
}

double Votes::score(const std::vector<std::uint64_t>& source, const std::vector<std::uint64_t>& target) const {
  if (source.empty() || target.empty()) return 0;
  const double whole = at(pairs_, combined(source.back(), target.back()));
  const double own = whole < kFewest ? whole : 0;
  double best = 0;
  for (std::size_t i = 0; i < source.size(); ++i) {
    const double seen_a = at(source_, source[i]) - own;
    if (seen_a <= 0) continue;
    for (std::size_t j = 0; j < target.size(); ++j) {
      const double together = at(pairs_, combined(source[i], target[j])) - own;
      if (together <= 0) continue;
      const double share = together / std::max(seen_a, at(target_, target[j]) - own);
      best = std::max(best, share * 0.5 * (depth(i, source) + depth(j, target)));
    }
  }
  const double known = std::max(at(source_, source.back()), at(target_, target.back()));
  if (known > 0 && whole <= 0) return kElsewhere;
  return best;
}

}  // namespace tenon::match
