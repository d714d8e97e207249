#include "match/blocks.hpp"

#include <algorithm>
#include <cmath>
#include <map>
#include <numeric>
#include <set>
#include <unordered_map>

#include "match/alignment.hpp"
#include "match/hash.hpp"
#include "match/lexicon.hpp"

namespace tenon::match {
namespace {

struct List {
  std::uint32_t pattern = 0;
  std::vector<NodeId> blocks;
  std::vector<Place> places;
  double mass = 0;
  Tags tags = 0;
  std::set<WordId> words;  ///< stems of its path
};

std::vector<Token> path_of(const Side& side, NodeId node) {
  std::vector<Token> path;
  for (; node != kRoot; node = side.nodes[node].parent) path.push_back(side.nodes[node].token);
  std::reverse(path.begin(), path.end());
  return path;
}

/// `dense_h_to_4h` in every layer: a number that is always the same counts nothing.
bool is_one_number(const Side& side, const std::vector<NodeId>& blocks) {
  return blocks.size() > 1 && std::all_of(blocks.begin(), blocks.end(), [&](NodeId block) {
           return side.nodes[block].token == side.nodes[blocks.front()].token;
         });
}

/// Nodes under a number by pattern: what holds two modules or more is a block; `conv1`, `conv2` are modules with a
/// number in their name. Where all of a pattern hold one each (the others had met by name), these are blocks, too.
std::map<std::uint32_t, std::vector<NodeId>> blocks_by_pattern(const Side& side) {
  std::map<std::uint32_t, std::vector<NodeId>> by_pattern, single;
  for (NodeId index = 1; index < side.nodes.size(); ++index) {
    const Node& node = side.nodes[index];
    if (!node.token.is_number()) continue;
    if (node.modules >= 2)
      by_pattern[node.pattern].push_back(index);
    else if (side.modules[node.first].node != index)
      single[node.pattern].push_back(index);
  }
  for (auto& [pattern, blocks] : single) by_pattern.try_emplace(pattern, std::move(blocks));
  std::erase_if(by_pattern, [&](const auto& row) { return is_one_number(side, row.second); });
  return by_pattern;
}

std::vector<List> lists_of(const Side& side, const Words& words) {
  auto by_pattern = blocks_by_pattern(side);
  std::vector<List> lists;
  for (auto& [pattern, blocks] : by_pattern) {
    std::sort(blocks.begin(), blocks.end(),
              [&](NodeId a, NodeId b) { return side.nodes[a].first < side.nodes[b].first; });
    List list;
    list.pattern = pattern;
    const auto path = path_of(side, blocks.front());
    list.tags = meaning_of(path, words, {}).towers();
    for (const Token& token : path)
      if (!token.is_number()) list.words.insert(words.stem(token.word));
    for (const NodeId block : blocks) {
      const Node& node = side.nodes[block];
      const bool opens = list.blocks.empty() || side.nodes[list.blocks.back()].parent != node.parent;
      const std::size_t parent = list.places.empty() ? 0 : list.places.back().parent + (opens ? 1 : 0);
      list.places.push_back({parent, node.token.number});
      list.blocks.push_back(block);
      list.mass += node.mass;
    }
    lists.push_back(std::move(list));
  }
  return lists;
}

/// Sizes of the tensors of a block, with how many there are of each.
using Sizes = std::map<std::int64_t, std::int64_t>;

Sizes sizes_of(const Side& side, NodeId node) {
  Sizes sizes;
  const Node& block = side.nodes[node];
  for (std::uint32_t i = block.first; i < block.first + block.modules; ++i)
    for (const Member& member : side.modules[i].members)
      if (member.leaf != Leaf::Counter) ++sizes[member.elements];
  return sizes;
}

/// Elements of `many` that are, k and k together, the tensors of `one`: experts one by one against experts stacked.
double stacked_each(const Sizes& many, const Sizes& one) {
  double explained = 0;
  for (const auto& [whole, wholes] : one)
    for (const auto& [part, parts] : many)
      if (part < whole && part > 0 && whole % part == 0 && parts % wholes == 0 && parts / wholes == whole / part) {
        explained += static_cast<double>(whole) * static_cast<double>(wholes);
        break;
      }
  return explained;
}

/// The same, where several wholes have parts of one size: gate and up stacked in one, down in another.
double stacked_together(const Sizes& many, const Sizes& one) {
  double explained = 0;
  for (const auto& [part, parts] : many) {
    std::int64_t wholes = 0;
    for (const auto& [whole, count] : one)
      if (part > 1 && part < whole && whole % part == 0)
        wholes += std::min(whole / part, parts + 1) * count;  // more than there are parts is too many, however many
    if (wholes == parts) explained += static_cast<double>(part) * static_cast<double>(parts);
  }
  return explained;
}

double stacked(const Sizes& many, const Sizes& one) {
  return std::max(stacked_each(many, one), stacked_together(many, one));
}

/// The share of elements that tensors of equal sizes explain. What is left on both sides may be one fused tensor
/// against several, when the sums agree.
double likeness_of(const Sizes& a, const Sizes& b) {
  double mass_a = 0, mass_b = 0, common = 0;
  for (const auto& [size, count] : a) mass_a += static_cast<double>(size) * static_cast<double>(count);
  for (const auto& [size, count] : b) mass_b += static_cast<double>(size) * static_cast<double>(count);
  for (const auto& [size, count] : a) {
    const auto other = b.find(size);
    if (other != b.end()) common += static_cast<double>(size) * static_cast<double>(std::min(count, other->second));
  }
  common += std::max(stacked(a, b), stacked(b, a));
  common = std::min({common, mass_a, mass_b});
  const double left_a = mass_a - common, left_b = mass_b - common;
  if (common > 0.2 * mass_a && std::min(left_a, left_b) > 0.9 * std::max(left_a, left_b))
    common += 0.9 * std::min(left_a, left_b);
  return common / std::max({mass_a, mass_b, 1.0});
}

/// Likeness of two blocks; each pair of kinds is computed once.
class Likenesses {
 public:
  Likenesses(const Side& source, const Side& target) : source_(source), target_(target) {}

  double between(NodeId a, NodeId b) {
    const std::uint64_t x = source_.nodes[a].signature, y = target_.nodes[b].signature;
    if (x == y) return 1;
    const auto [at, is_new] = known_.try_emplace(combined(x, y), 0);
    if (is_new) at->second = likeness_of(sizes_of(source_, a), sizes_of(target_, b));
    return at->second;
  }

 private:
  const Side &source_, &target_;
  std::unordered_map<std::uint64_t, double> known_;
};

/// Two lists laid side by side.
struct Pairing {
  std::size_t source = 0, target = 0;
  Alignment alignment;
  double score = 0;
};

double words_in_common(const std::set<WordId>& a, const std::set<WordId>& b) {
  std::size_t common = 0;
  for (const WordId word : a) common += b.count(word);
  const std::size_t all = a.size() + b.size() - common;
  return all == 0 ? 0 : static_cast<double>(common) / static_cast<double>(all);
}

/// What the names say for or against: an encoder's blocks are not a decoder's.
double lexical(const List& a, const List& b) {
  double score = 0.1 * words_in_common(a.words, b.words);
  for (const Tags kinds : {tag::kVision | tag::kText, tag::kEncoder | tag::kDecoder, tag::kMiddle})
    if ((a.tags & kinds) != 0 && (b.tags & kinds) != 0) score += (a.tags & b.tags & kinds) != 0 ? 0.15 : -0.3;
  return score;
}

/// The positions of a list with its groups (the blocks of one parent) in reverse, or its blocks, where they have one
/// parent: some decoders count their stages from the output.
std::vector<std::size_t> reversed(const std::vector<Place>& places) {
  std::vector<std::size_t> order(places.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  const bool has_groups = !places.empty() && places.back().parent > 0;
  std::stable_sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) {
    return has_groups ? places[a].parent > places[b].parent : a > b;
  });
  return order;
}

Alignment aligned(const List& a, const List& b, Likenesses& likenesses, bool is_reversed) {
  if (!is_reversed)
    return align(a.places, b.places,
                 [&](std::size_t i, std::size_t j) { return likenesses.between(a.blocks[i], b.blocks[j]); });
  const auto order = reversed(a.places);
  std::vector<Place> places;
  const std::size_t last = a.places.back().parent;
  for (const std::size_t i : order)
    places.push_back(last > 0 ? Place{last - a.places[i].parent, a.places[i].number}
                              : Place{0, static_cast<std::int64_t>(places.size())});
  Alignment result = align(places, b.places, [&](std::size_t i, std::size_t j) {
    return likenesses.between(a.blocks[order[i]], b.blocks[j]);
  });
  for (auto& [i, j] : result.pairs) i = order[i];
  for (std::size_t& i : result.likes_a) i = order[i];
  return result;
}

/// What is like nothing of the other list (attention among residual blocks) counts less than what was passed over.
double score_of(const Side& source, const Side& target, const List& a, const List& b, const Alignment& alignment,
                Likenesses& likenesses) {
  double explained = 0, liked = 0;
  for (const auto& [i, j] : alignment.pairs)
    explained += likenesses.between(a.blocks[i], b.blocks[j]) *
                 (source.nodes[a.blocks[i]].mass + target.nodes[b.blocks[j]].mass);
  for (const std::size_t i : alignment.likes_a) liked += source.nodes[a.blocks[i]].mass;
  for (const std::size_t j : alignment.likes_b) liked += target.nodes[b.blocks[j]].mass;
  return 0.5 * explained / std::max(liked, 1.0) + 0.5 * explained / std::max(a.mass + b.mass, 1.0);
}

/// Kinds of blocks among `which`, by their sizes.
std::size_t kinds_of(const Side& side, const List& list, const std::vector<std::size_t>& which) {
  std::set<std::uint64_t> kinds;
  for (const std::size_t index : which) kinds.insert(side.nodes[list.blocks[index]].signature);
  return kinds.size();
}

constexpr std::size_t kLeastKinds = 3;  // blocks of one kind, and one that differs, show no direction
constexpr double kMostForward = 0.8;    // share of pairs with which the order as it stands has failed

Pairing paired(const Side& source, const Side& target, const List& a, const List& b, Likenesses& likenesses) {
  Pairing pairing;
  pairing.alignment = aligned(a, b, likenesses, false);
  pairing.score = score_of(source, target, a, b, pairing.alignment, likenesses);
  const bool may_be_reversed =
      pairing.alignment.likes_a.size() >= 2 && static_cast<double>(pairing.alignment.pairs.size()) <
                                                   kMostForward * static_cast<double>(pairing.alignment.likes_a.size());
  if (!may_be_reversed || kinds_of(source, a, pairing.alignment.likes_a) < kLeastKinds ||
      kinds_of(target, b, pairing.alignment.likes_b) < kLeastKinds)
    return pairing;
  Alignment other = aligned(a, b, likenesses, true);
  const double score = score_of(source, target, a, b, other, likenesses);
  if (score > pairing.score + 0.1) {
    pairing.alignment = std::move(other);
    pairing.score = score;
  }
  return pairing;
}

/// Whether a block has nearly all of what another has, and more: the same with modules added.
bool holds(const Sizes& all, const Sizes& some) {
  double mass = 0, common = 0;
  for (const auto& [size, count] : some) {
    const auto found = all.find(size);
    mass += static_cast<double>(size) * static_cast<double>(count);
    if (found != all.end()) common += static_cast<double>(size) * static_cast<double>(std::min(count, found->second));
  }
  return common > 0.9 * mass;
}

constexpr double kLeastScore = 0.15;
constexpr std::uint32_t kLeastTwin = 3;  // modules of a block that its sizes identify
constexpr double kSureMargin = 0.08;
constexpr double kSameKind = 0.6;
constexpr std::size_t kMostStages = 5;
constexpr std::size_t kMaxPairings = 4096;

class Partnering {
 public:
  Partnering(const Side& source, const Side& target, const Words& words)
      : source_(source),
        target_(target),
        likenesses_(source, target),
        left_(lists_of(source, words)),
        right_(lists_of(target, words)),
        left_kinds_(kinds_in(source, left_)),
        right_kinds_(kinds_in(target, right_)),
        telling_(telling_words(left_, right_)) {
    result_.of_source.assign(source.nodes.size(), BlockPartners::kNone);
    result_.of_target.assign(target.nodes.size(), BlockPartners::kNone);
    result_.is_sure.assign(source.nodes.size(), false);
    result_.source_left.assign(source.nodes.size(), false);
    result_.target_left.assign(target.nodes.size(), false);
  }

  BlockPartners run() {
    if (left_.size() * right_.size() > kMaxPairings) return std::move(result_);
    collect();
    for (std::size_t i = 0; i < pairings_.size(); ++i) take(i);
    settle_sure();
    mark_left();
    return std::move(result_);
  }

 private:
  void collect() {
    for (std::size_t i = 0; i < left_.size(); ++i)
      for (std::size_t j = 0; j < right_.size(); ++j) {
        Pairing pairing = paired(source_, target_, left_[i], right_[j], likenesses_);
        if (pairing.score < kLeastScore) continue;
        pairing.source = i;
        pairing.target = j;
        pairing.score += lexical(left_[i], right_[j]) + contrast(left_[i].words, right_[j].words);
        scores_[{i, j}] = pairing.score;
        pairings_.push_back(std::move(pairing));
      }
    std::stable_sort(pairings_.begin(), pairings_.end(), [](const Pairing& a, const Pairing& b) {
      const bool a_repeats = a.alignment.pairs.size() > 1, b_repeats = b.alignment.pairs.size() > 1;
      return a_repeats != b_repeats ? a_repeats : a.score > b.score;
    });
  }

  /// Words that some lists bear on both sides, and not all, tell lists apart.
  double contrast(const std::set<WordId>& a, const std::set<WordId>& b) const {
    double score = 0;
    for (const WordId word : telling_)
      if (a.contains(word) || b.contains(word)) score += a.contains(word) == b.contains(word) ? 0.05 : -0.1;
    return std::clamp(score, -0.2, 0.1);
  }

  static std::vector<WordId> telling_words(const std::vector<List>& left, const std::vector<List>& right) {
    const auto counts = [](const std::vector<List>& lists) {
      std::map<WordId, std::size_t> counted;
      for (const List& list : lists)
        for (const WordId word : list.words) ++counted[word];
      return counted;
    };
    const auto have = counts(left), want = counts(right);
    std::vector<WordId> telling;
    for (const auto& [word, count] : have)
      if (const auto found = want.find(word);
          found != want.end() && count < left.size() && found->second < right.size())
        telling.push_back(word);
    return telling;
  }

  void take(std::size_t index) {
    const Pairing& pairing = pairings_[index];
    const List &a = left_[pairing.source], &b = right_[pairing.target];
    std::vector<std::pair<NodeId, NodeId>> free;
    for (const auto& [i, j] : pairing.alignment.pairs)
      if (is_free(a.blocks[i], b.blocks[j])) free.emplace_back(a.blocks[i], b.blocks[j]);
    if (free.empty() || free.size() * 2 < pairing.alignment.pairs.size()) return;
    for (const auto& [x, y] : free) {
      result_.of_source[x] = y;
      result_.of_target[y] = x;
    }
    taken_.push_back({index, std::move(free)});
  }

  /// Exchanging partners with another pairing, or taking a list that has none, would do nearly as well.
  bool has_rival(const Pairing& mine) const {
    for (const Taken& taken : taken_) {
      const Pairing& other = pairings_[taken.pairing];
      if (other.source == mine.source || other.target == mine.target) continue;
      if (are_nested(source_, left_[other.source], left_[mine.source]) &&
          are_nested(target_, right_[other.target], right_[mine.target]))
        continue;  // blocks within blocks, on both sides
      if (score(mine.source, other.target) + score(other.source, mine.target) > mine.score + other.score - kSureMargin)
        return true;
    }
    const auto is_taken = [&](std::size_t Pairing::*side, std::size_t list) {
      return std::any_of(taken_.begin(), taken_.end(),
                         [&](const Taken& taken) { return pairings_[taken.pairing].*side == list; });
    };
    return std::any_of(pairings_.begin(), pairings_.end(), [&](const Pairing& other) {
      if (other.score < mine.score - kSureMargin) return false;
      return (other.source == mine.source && !is_taken(&Pairing::target, other.target) &&
              !are_nested(target_, right_[other.target], right_[mine.target])) ||
             (other.target == mine.target && !is_taken(&Pairing::source, other.source) &&
              !are_nested(source_, left_[other.source], left_[mine.source]));
    });
  }

  /// Blocks of one list stand within those of the other: then both may have partners.
  static bool are_nested(const Side& side, const List& a, const List& b) {
    const auto is_within = [&](const List& inner, const List& outer) {
      for (NodeId node = inner.blocks.front(); node != kRoot; node = side.nodes[node].parent)
        if (side.nodes[node].pattern == outer.pattern) return true;
      return false;
    };
    return is_within(a, b) || is_within(b, a);
  }

  double score(std::size_t source, std::size_t target) const {
    const auto found = scores_.find({source, target});
    return found == scores_.end() ? -1 : found->second;
  }

  /// A few stages of one kind, counted from 1 on one side and from 0 on the other, under names that have no word in
  /// common: decoders of pyramids count from either end, and nothing tells from which.
  bool may_count_back(const Pairing& pairing) {
    const List &a = left_[pairing.source], &b = right_[pairing.target];
    const auto& pairs = pairing.alignment.pairs;
    if (pairs.size() < 2 || pairs.size() > kMostStages || (a.tags & b.tags) != 0) return false;
    const auto [first, partner] = pairs.front();
    if (a.places[first].number == b.places[partner].number || words_in_common(a.words, b.words) > 0) return false;
    for (std::size_t k = 0; k < pairs.size(); ++k)
      if (likenesses_.between(a.blocks[pairs[k].first], b.blocks[pairs[pairs.size() - 1 - k].second]) < kLeastLikeness)
        return false;
    return true;
  }

  bool stands_in_partner(NodeId x) const {
    for (NodeId up = source_.nodes[x].parent; up != kRoot; up = source_.nodes[up].parent)
      if (result_.of_source[up] != BlockPartners::kNone) return true;
    return false;
  }

  void settle_sure() {
    std::vector<bool> is_open(source_.nodes.size(), false);
    for (const Taken& taken : taken_) {
      const Pairing& pairing = pairings_[taken.pairing];
      const bool counts_back = may_count_back(pairing), is_sure = pairing.alignment.is_sure && !has_rival(pairing);
      std::unordered_map<std::uint64_t, std::size_t> twins;
      for (const auto& [x, y] : taken.blocks)
        if (source_.nodes[x].signature == target_.nodes[y].signature) ++twins[source_.nodes[x].signature];
      for (const auto& [x, y] : taken.blocks) {
        result_.is_sure[x] = is_sure || (are_twins(x, y, twins) && !has_free_twin(pairing, x, y));
        is_open[x] = counts_back;
        if (!pairing.alignment.is_sure && stands_in_partner(x)) {  // the block around settles it better
          result_.of_source[x] = BlockPartners::kNone;
          result_.of_target[y] = BlockPartners::kNone;
        }
      }
    }
    for (NodeId node = 1; node < source_.nodes.size(); ++node) {
      is_open[node] = is_open[node] || is_open[source_.nodes[node].parent];
      if (is_open[node]) result_.is_sure[node] = false;
    }
  }

  /// Of the same sizes, and all blocks of these sizes, of either side, are partners in order within these two lists:
  /// that holds whatever the numbers say.
  bool are_twins(NodeId x, NodeId y, const std::unordered_map<std::uint64_t, std::size_t>& paired) const {
    const std::uint64_t signature = source_.nodes[x].signature;
    if (target_.nodes[y].signature != signature || source_.nodes[x].modules < kLeastTwin) return false;
    const std::size_t all = paired.at(signature);
    const auto are_all = [&](const std::unordered_map<std::uint64_t, std::size_t>& counts) {
      const auto found = counts.find(signature);
      return found != counts.end() && found->second == all;
    };
    return are_all(left_kinds_) && are_all(right_kinds_);
  }

  /// A block that found no partner and is much like this one: one of them lost or got modules, and it may be the other.
  bool has_free_twin(const Pairing& pairing, NodeId x, NodeId y) {
    const List &a = left_[pairing.source], &b = right_[pairing.target];
    const auto is_free_twin = [&](NodeId left, NodeId right, const std::vector<NodeId>& partner, NodeId block) {
      return partner[block] == BlockPartners::kNone && likenesses_.between(left, right) >= kSameKind;
    };
    return std::any_of(pairing.alignment.likes_a.begin(), pairing.alignment.likes_a.end(),
                       [&](std::size_t i) { return is_free_twin(a.blocks[i], y, result_.of_source, a.blocks[i]); }) ||
           std::any_of(pairing.alignment.likes_b.begin(), pairing.alignment.likes_b.end(),
                       [&](std::size_t j) { return is_free_twin(x, b.blocks[j], result_.of_target, b.blocks[j]); });
  }

  static std::unordered_map<std::uint64_t, std::size_t> kinds_in(const Side& side, const std::vector<List>& lists) {
    std::unordered_map<std::uint64_t, std::size_t> counts;
    for (const List& list : lists)
      for (const NodeId block : list.blocks) ++counts[side.nodes[block].signature];
    return counts;
  }

  bool is_free(NodeId x, NodeId y) const {
    return result_.of_source[x] == BlockPartners::kNone && result_.of_target[y] == BlockPartners::kNone &&
           is_nested_alike(x, y) && holds_alike(source_, x, result_.of_source, target_, y) &&
           holds_alike(target_, y, result_.of_target, source_, x);
  }

  /// Calls `see` with every node between the modules of a block and the block; stops when it says false.
  template <class See>
  static bool all_below(const Side& side, NodeId block, See see) {
    const Node& top = side.nodes[block];
    for (std::uint32_t i = top.first; i < top.first + top.modules; ++i)
      for (NodeId node = side.modules[i].node; node != block; node = side.nodes[node].parent)
        if (!see(node)) return false;
    return true;
  }

  /// Blocks within `block` that have partners have them within `partner`.
  static bool holds_alike(const Side& side, NodeId block, const std::vector<NodeId>& partners, const Side& other,
                          NodeId partner) {
    return all_below(side, block, [&](NodeId node) {
      return partners[node] == BlockPartners::kNone || other.is_below(partners[node], partner);
    });
  }

  /// A block's partner stands within the partner of the block around it.
  bool is_nested_alike(NodeId x, NodeId y) const {
    for (NodeId up = source_.nodes[x].parent; up != kRoot; up = source_.nodes[up].parent)
      if (const NodeId other = result_.of_source[up]; other != BlockPartners::kNone) return target_.is_below(y, other);
    return true;
  }

  void mark_left() {
    mark_left(source_, left_, result_.of_source, result_.source_left);
    mark_left(target_, right_, result_.of_target, result_.target_left);
  }

  static void mark_left(const Side& side, const std::vector<List>& lists, const std::vector<NodeId>& partner,
                        std::vector<bool>& left) {
    for (const List& list : lists) {
      std::set<std::uint64_t> taken;
      for (const NodeId block : list.blocks)
        if (partner[block] != BlockPartners::kNone) taken.insert(side.nodes[block].signature);
      for (const NodeId block : list.blocks)
        left[block] = partner[block] == BlockPartners::kNone &&
                      all_below(side, block, [&](NodeId node) { return partner[node] == BlockPartners::kNone; }) &&
                      is_like_one(side, block, taken, list, partner);
    }
  }

  static bool is_like_one(const Side& side, NodeId block, const std::set<std::uint64_t>& taken, const List& list,
                          const std::vector<NodeId>& partner) {
    if (taken.contains(side.nodes[block].signature)) return true;
    const Sizes sizes = sizes_of(side, block);
    std::set<std::uint64_t> seen;
    for (const NodeId other : list.blocks)
      if (partner[other] != BlockPartners::kNone && seen.insert(side.nodes[other].signature).second &&
          (likeness_of(sizes, sizes_of(side, other)) > 0.6 || holds(sizes, sizes_of(side, other))))
        return true;
    return false;
  }

  const Side &source_, &target_;
  Likenesses likenesses_;
  std::vector<List> left_, right_;
  std::unordered_map<std::uint64_t, std::size_t> left_kinds_, right_kinds_;  ///< how many blocks of each signature
  std::vector<WordId> telling_;
  std::vector<Pairing> pairings_;
  struct Taken {
    std::size_t pairing = 0;
    std::vector<std::pair<NodeId, NodeId>> blocks;
  };
  std::vector<Taken> taken_;
  std::map<std::pair<std::size_t, std::size_t>, double> scores_;
  BlockPartners result_;
};

}  // namespace

BlockPartners partners_of(const Side& source, const Side& target, const Words& words) {
  return Partnering(source, target, words).run();
}

}  // namespace tenon::match
