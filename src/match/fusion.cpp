#include "match/fusion.hpp"

#include <algorithm>
#include <bit>
#include <map>

#include "base/checked.hpp"
#include "match/hash.hpp"
#include "match/score.hpp"

namespace tenon::match {
namespace {

using namespace tag;

constexpr Tags kOrder[] = {kQuery, kKey, kValue, kGate, kUp};

std::vector<Tags> bits_of(Tags parts) {
  std::vector<Tags> bits;
  for (const Tags bit : kOrder)
    if ((parts & bit) != 0) bits.push_back(bit);
  return bits;
}

struct View {
  const Side* side = nullptr;
  const std::vector<Candidate>* candidates = nullptr;

  const Module& module(std::uint32_t index) const { return side->modules[(*candidates)[index].module]; }
  const Meaning& meaning(std::uint32_t index) const { return (*candidates)[index].meaning; }
  std::uint32_t size() const { return static_cast<std::uint32_t>(candidates->size()); }
};

bool is_matrix(const View& view, std::uint32_t index) {
  const Member& main = view.module(index).main();
  return main.leaf != Leaf::Bias && view.side->shape(main).size() >= 2;
}

/// One part that stands for each bit, at most one each.
using Group = std::map<Tags, std::uint32_t>;

/// Groups of parts: those of one unit by their paths; a group with two candidates for one bit is none.
std::vector<Group> groups_of(const View& view, const std::vector<Tags>& bits) {
  std::map<std::uint64_t, Group> by_unit;
  std::map<std::uint64_t, bool> is_double;
  for (std::uint32_t i = 0; i < view.size(); ++i) {
    const Tags part = view.meaning(i).parts();
    if (std::find(bits.begin(), bits.end(), part) == bits.end() || !is_matrix(view, i)) continue;
    const std::uint64_t unit = (*view.candidates)[i].unit;
    if (!by_unit[unit].emplace(part, i).second) is_double[unit] = true;
  }
  std::vector<Group> groups;
  for (auto& [unit, group] : by_unit)
    if (group.size() == bits.size() && !is_double[unit]) groups.push_back(std::move(group));
  std::sort(groups.begin(), groups.end(),
            [](const Group& a, const Group& b) { return a.begin()->second < b.begin()->second; });
  return groups;
}

/// a : b as c : d.
bool have_one_ratio(const Member& a, const Member& b, const Member& c, const Member& d) {
  const auto product = [](const Member& x, const Member& y) {
    return base::checked_multiply(static_cast<std::uint64_t>(x.elements), static_cast<std::uint64_t>(y.elements));
  };
  const auto outer = product(a, d);
  return outer && outer == product(b, c);
}

/// Weights sum up, share an axis, and each bias has the part of the whole's bias that its weight has of the weight.
bool adds_up(const View& one, std::uint32_t whole, const View& many, const Group& group) {
  const Member& fused = one.module(whole).main();
  const Shape& shape = one.side->shape(fused);
  std::int64_t sum = 0;
  for (const auto& [bit, part] : group) {
    const Member& member = many.module(part).main();
    sum += member.elements;
    std::int64_t outputs = 0;
    for (const std::int64_t extent : shape)
      if (extent > 0 && member.elements % extent == 0) outputs = std::max(outputs, extent);
    if (outputs == 0) return false;
  }
  if (sum != fused.elements) return false;
  const Member* bias = one.module(whole).find(Leaf::Bias);
  if (bias == nullptr) return true;
  for (const auto& [bit, part] : group)
    if (const Member* own = many.module(part).find(Leaf::Bias))
      if (!have_one_ratio(*own, *bias, many.module(part).main(), fused)) return false;
  return true;
}

/// What the whole may consist of. `fc1` of a gated network is called as if it had one part; `att_proj` and `linear_0`
/// tell the unit at most, or call the parts what the whole does.
std::vector<Tags> readings(const Meaning& meaning) {
  const Tags parts = meaning.parts(), units = meaning.units();
  if (parts == kUp) return {kGate | kUp};
  if (bits_of(parts).size() >= 2) return {parts};
  if (meaning.things() != 0 || bits_of(parts).size() == 1) return {};
  if ((units & (kAttention | kCross)) != 0) return {kQuery | kKey | kValue, kKey | kValue};
  if ((units & kFeedForward) != 0) return {kGate | kUp};
  return {};
}

/// The names tell the whole's parts: no proof by arithmetic alone.
bool is_named(Tags whole, Tags parts) { return whole == parts || (whole == kUp && parts == (kGate | kUp)); }

class Finder {
 public:
  Finder(const Cell& cell, const Votes& votes) : cell_(cell), votes_(votes) {}

  std::vector<Fusion> find() {
    const View source{cell_.source_side, &cell_.source}, target{cell_.target_side, &cell_.target};
    find(source, target, Direction::Split);
    find(target, source, Direction::Fuse);
    return std::move(fusions_);
  }

 private:
  void find(const View& one, const View& many, Direction direction) {
    std::map<Tags, std::vector<std::uint32_t>> wholes;
    for (std::uint32_t i = 0; i < one.size(); ++i)
      if (is_matrix(one, i))
        for (const Tags parts : readings(one.meaning(i)))
          if (is_named(one.meaning(i).parts(), parts) || !has_counterpart(one, i, many)) wholes[parts].push_back(i);
    std::vector<Tags> order;  // q, k and v before k and v
    for (const auto& [parts, list] : wholes) order.push_back(parts);
    std::stable_sort(order.begin(), order.end(), [](Tags a, Tags b) { return std::popcount(a) > std::popcount(b); });
    for (const Tags parts : order) pair_up(one, wholes[parts], many, groups_of(many, bits_of(parts)), direction);
  }

  /// Something on the other side has the whole's own size.
  static bool has_counterpart(const View& one, std::uint32_t whole, const View& many) {
    for (std::uint32_t i = 0; i < many.size(); ++i)
      if (many.module(i).main().elements == one.module(whole).main().elements) return true;
    return false;
  }

  /// A whole and a group that could be each other's.
  struct Fit {
    std::uint32_t whole = 0;
    std::size_t group = 0;
    double score = 0;
  };

  /// A whole takes the group that the names of the unit and the other cells give it, if they give it clearly.
  void pair_up(const View& one, const std::vector<std::uint32_t>& wholes, const View& many,
               const std::vector<Group>& groups, Direction direction) {
    std::vector<Fit> fits;
    const auto telling = telling_of(one, wholes, many, groups);
    for (const std::uint32_t whole : wholes)
      for (std::size_t g = 0; g < groups.size(); ++g) {
        if (is_whole_used(whole, direction) || is_used(groups[g], direction)) continue;
        if (!adds_up(one, whole, many, groups[g])) continue;
        const double score = suits(one, whole, many, groups[g], direction) +
                             contrast(telling, (*one.candidates)[whole], first_of(many, groups[g]));
        if (score > -0.4) fits.push_back({whole, g, score});
      }
    for (const Fit& fit : fits) {
      const bool has_rival = std::any_of(fits.begin(), fits.end(), [&](const Fit& other) {
        return (other.whole == fit.whole) != (other.group == fit.group) && other.score > fit.score - 0.25;
      });
      if (!has_rival) take(fit.whole, groups[fit.group], direction);
    }
  }

  static const Candidate& first_of(const View& many, const Group& group) {
    return (*many.candidates)[group.begin()->second];
  }

  static std::vector<WordId> telling_of(const View& one, const std::vector<std::uint32_t>& wholes, const View& many,
                                        const std::vector<Group>& groups) {
    std::vector<const Candidate*> left, right;
    for (const std::uint32_t whole : wholes) left.push_back(&(*one.candidates)[whole]);
    for (const Group& group : groups) right.push_back(&first_of(many, group));
    return telling_stems(left, right);
  }

  bool is_whole_used(std::uint32_t whole, Direction direction) const {
    return std::any_of(fusions_.begin(), fusions_.end(),
                       [&](const Fusion& fusion) { return fusion.direction == direction && fusion.whole == whole; });
  }

  double suits(const View& one, std::uint32_t whole, const View& many, const Group& group, Direction direction) const {
    const std::uint32_t part = group.begin()->second;
    const Tags a = one.meaning(whole).units(), b = many.meaning(part).units();
    const double units = a == 0 || b == 0 ? 0 : (a & b) != 0 ? 0.6 : -0.6;
    const double vote = direction == Direction::Split
                            ? votes_.score(cell_.source[whole].prefixes, cell_.target[part].prefixes)
                            : votes_.score(cell_.source[part].prefixes, cell_.target[whole].prefixes);
    const Candidate &x = (*one.candidates)[whole], &y = (*many.candidates)[part];
    const bool is_elsewhere =
        x.home != y.home && x.home != kRoot && y.home != kRoot && x.home_pattern == y.home_pattern;
    return is_elsewhere ? -1 : units + 0.8 * vote;
  }

  bool is_used(const Group& group, Direction direction) const {
    for (const Fusion& fusion : fusions_)
      if (fusion.direction == direction)
        for (const auto& [bit, part] : group)
          if (std::find(fusion.parts.begin(), fusion.parts.end(), part) != fusion.parts.end()) return true;
    return false;
  }

  void take(std::uint32_t whole, const Group& group, Direction direction) {
    if (is_used(group, direction)) return;
    Fusion fusion{direction, whole, {}};
    for (const Tags bit : kOrder)
      if (const auto part = group.find(bit); part != group.end()) fusion.parts.push_back(part->second);
    fusions_.push_back(std::move(fusion));
  }

  const Cell& cell_;
  const Votes& votes_;
  std::vector<Fusion> fusions_;
};

}  // namespace

std::vector<Fusion> fusions_of(const Cell& cell, const Votes& votes) { return Finder(cell, votes).find(); }

}  // namespace tenon::match
