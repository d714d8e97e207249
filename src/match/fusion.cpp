#include "match/fusion.hpp"

#include <algorithm>
#include <map>

#include "match/hash.hpp"

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

/// The parts of one attention or feed-forward network: same path but for the last words.
std::uint64_t unit_key(const Candidate& candidate) {
  return candidate.prefixes.size() < 2 ? 0 : candidate.prefixes[candidate.prefixes.size() - 2];
}

/// One part that stands for each bit, at most one each.
using Group = std::map<Tags, std::uint32_t>;

/// Groups of parts, by unit and path; a group with two candidates for one bit is none.
std::vector<Group> groups_of(const View& view, const std::vector<Tags>& bits, Tags units) {
  std::map<std::uint64_t, Group> by_path;
  std::map<std::uint64_t, bool> is_double;
  Group all;
  bool all_double = false;
  for (std::uint32_t i = 0; i < view.size(); ++i) {
    const Meaning& meaning = view.meaning(i);
    if (std::find(bits.begin(), bits.end(), meaning.parts()) == bits.end() || !is_matrix(view, i)) continue;
    if (meaning.units() != 0 && units != 0 && (meaning.units() & units) == 0) continue;
    const std::uint64_t key = unit_key((*view.candidates)[i]);
    if (!by_path[key].emplace(meaning.parts(), i).second) is_double[key] = true;
    if (!all.emplace(meaning.parts(), i).second) all_double = true;
  }
  std::vector<Group> groups;
  if (!all_double && all.size() == bits.size()) return {all};
  for (auto& [key, group] : by_path)
    if (group.size() == bits.size() && !is_double[key]) groups.push_back(std::move(group));
  std::sort(groups.begin(), groups.end(),
            [](const Group& a, const Group& b) { return a.begin()->second < b.begin()->second; });
  return groups;
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
      if (own->elements * fused.elements != bias->elements * many.module(part).main().elements) return false;
  return true;
}

/// What the whole may consist of. `fc1` of a gated network is called as if it had one part.
std::vector<Tags> readings(Tags parts) {
  if (parts == kUp) return {kGate | kUp};
  if (bits_of(parts).size() >= 2) return {parts};
  return {};
}

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
    std::map<std::pair<Tags, Tags>, std::vector<std::uint32_t>> wholes;
    for (std::uint32_t i = 0; i < one.size(); ++i)
      if (is_matrix(one, i))
        for (const Tags parts : readings(one.meaning(i).parts())) wholes[{parts, one.meaning(i).units()}].push_back(i);
    for (const auto& [key, list] : wholes) {
      auto groups = groups_of(many, bits_of(key.first), key.second);
      pair_up(one, list, many, std::move(groups), direction);
    }
  }

  /// One whole and one group are partners; of several, each whole takes the group that votes or order give it.
  void pair_up(const View& one, const std::vector<std::uint32_t>& wholes, const View& many, std::vector<Group> groups,
               Direction direction) {
    std::vector<std::pair<std::uint32_t, std::size_t>> fits;
    for (const std::uint32_t whole : wholes)
      for (std::size_t g = 0; g < groups.size(); ++g)
        if (!is_used(groups[g], direction) && adds_up(one, whole, many, groups[g])) fits.emplace_back(whole, g);
    for (const auto& [whole, g] : fits) {
      const auto rivals = std::count_if(fits.begin(), fits.end(), [&, w = whole, h = g](const auto& other) {
        return (other.first == w) != (other.second == h);
      });
      if (rivals == 0 || is_preferred(one, whole, many, groups[g], fits, groups, direction))
        take(whole, groups[g], direction);
    }
  }

  double vote(std::uint32_t whole, const Group& group, Direction direction) const {
    const std::uint32_t part = group.begin()->second;
    return direction == Direction::Split
               ? votes_.score(cell_.source[whole].prefixes, cell_.target[part].prefixes)
               : votes_.score(cell_.source[part].prefixes, cell_.target[whole].prefixes);
  }

  bool is_preferred(const View&, std::uint32_t whole, const View&, const Group& group,
                    const std::vector<std::pair<std::uint32_t, std::size_t>>& fits, const std::vector<Group>& groups,
                    Direction direction) const {
    const double mine = vote(whole, group, direction);
    for (const auto& [other_whole, other] : fits)
      if ((other_whole == whole) != (&groups[other] == &group) &&
          vote(other_whole, groups[other], direction) > mine - 0.3)
        return false;
    return mine > 0.4;
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
