#include "match/match.hpp"

#include <algorithm>
#include <cmath>
#include <map>
#include <optional>
#include <set>
#include <unordered_map>

#include "match/blocks.hpp"
#include "match/hash.hpp"
#include "match/identical.hpp"
#include "match/orientation.hpp"
#include "match/shapes.hpp"
#include "match/values.hpp"

namespace tenon::match {
namespace {

constexpr int kRounds = 3;                             // of votes
constexpr std::uint64_t kShared = 0x7368617265640000;  // seed of the paths that lists share
constexpr std::size_t kLeastList = 3;                  // blocks of a list that show a pattern
constexpr std::size_t kMostOdd = 3;                    // one module of so many may be a block's own
constexpr double kApply = 0.95;                        // surer matches are done unasked

WordWeights weights_of(const Side& source, const Side& target, const Words& words) {
  std::vector<double> count(words.size(), 0);
  for (const Side* side : {&source, &target})
    for (const Node& node : side->nodes)
      if (!node.token.is_number()) count[words.stem(node.token.word)] += node.modules;
  const double all = static_cast<double>(source.modules.size() + target.modules.size());
  WordWeights weights;
  for (const double n : count) weights.push_back(std::log(1 + all / std::max(n, 1.0)));
  return weights;
}

std::uint64_t step_hash(std::uint64_t hash, const Token& token) {
  return combined(hash, token.is_number() ? static_cast<std::uint64_t>(token.number) << 1 | 1
                                          : static_cast<std::uint64_t>(token.word) << 1);
}

std::vector<std::uint64_t> prefixes_of(std::span<const Token> path, std::uint64_t seed) {
  std::vector<std::uint64_t> prefixes;
  for (const Token& token : path) prefixes.push_back(seed = step_hash(seed, token));
  if (prefixes.empty()) prefixes.push_back(seed);
  return prefixes;
}

std::uint64_t family_of(std::span<const Token> path) {
  std::uint64_t hash = 0;
  for (const Token& token : path) hash = token.is_number() ? combined(hash, 1) : step_hash(hash, token);
  return hash;
}

/// What is left of a path without the words that tell the parts of a unit apart, and the numbers behind them.
std::uint64_t unit_of(std::span<const Token> path, const Words& words) {
  std::uint64_t hash = 1;
  bool is_behind_part = false;
  for (const Token& token : path) {
    const bool is_part = !token.is_number() && names_part(words.text(token.word));
    if (!is_part && !(token.is_number() && is_behind_part)) hash = step_hash(hash, token);
    is_behind_part = is_part;
  }
  return hash;
}

std::vector<WordId> stems_of(std::span<const Token> path, const Words& words) {
  std::vector<WordId> stems;
  for (const Token& token : path)
    if (!token.is_number()) stems.push_back(words.stem(token.word));
  std::sort(stems.begin(), stems.end());
  stems.erase(std::unique(stems.begin(), stems.end()), stems.end());
  return stems;
}

WordId own_word_of(std::span<const Token> path, const Words& words) {
  const auto last = std::find_if(path.rbegin(), path.rend(), [](const Token& token) { return !token.is_number(); });
  return last == path.rend() ? 0 : words.stem(last->word);
}

/// Where a cell begins on a side, and its modules.
struct Half {
  NodeId home = kRoot;
  std::vector<std::uint32_t> modules;
  bool has_third_w = false;  ///< somewhere on this side
};
struct Draft {
  Half source, target;
  bool is_sure = true;
};

bool ends_in_third_w(std::span<const Token> path, const Words& words) {
  const std::size_t n = path.size();
  return n >= 2 && path[n - 1].number == 3 && !path[n - 2].is_number() && words.text(path[n - 2].word) == "w";
}

/// What a path says up to its last number: `layer.0` of `layer.0.layer_norm`; 0 where there is none.
std::uint64_t holder_of(const Candidate& candidate) {
  for (std::size_t i = candidate.path.size(); i-- > 1;)
    if (candidate.path[i - 1].is_number() && i < candidate.path.size()) return candidate.prefixes[i - 1];
  return 0;
}

/// A norm that names no unit beside one unit alone (`layer.0.layer_norm` beside `layer.0.SelfAttention.q`) is that
/// one's.
void place_by_siblings(std::vector<Candidate>& candidates) {
  std::unordered_map<std::uint64_t, Tags> units;
  for (const Candidate& candidate : candidates)
    if (const auto holder = holder_of(candidate)) units[holder] |= candidate.meaning.units();
  for (Candidate& candidate : candidates) {
    Meaning& meaning = candidate.meaning;
    const auto found = units.find(holder_of(candidate));
    if (!meaning.has_place || meaning.place != Meaning::kNoPlace || found == units.end()) continue;
    meaning.place = place_of_unit(found->second);
  }
}

void turn(Candidate& candidate, Tags from, Tags to) {
  if ((candidate.meaning.tags & from) != 0) candidate.meaning.tags = (candidate.meaning.tags & ~from) | to;
}

/// The only attention there is may be called cross attention; beside `self_attention`, a plain `attention` is one.
void settle_attentions(std::vector<Candidate>& candidates) {
  Tags all = 0;
  for (const Candidate& candidate : candidates) all |= candidate.meaning.tags;
  if ((all & tag::kAttention) == 0)
    for (Candidate& candidate : candidates) turn(candidate, tag::kCross, tag::kAttention);
  if ((all & tag::kSelf) == 0 || (all & tag::kCross) != 0) return;
  const auto is_plain = [](const Candidate& candidate) {
    return (candidate.meaning.tags & (tag::kAttention | tag::kSelf)) == tag::kAttention;
  };
  std::vector<Token> roots;  // of matrices: a norm by itself may be named after either
  for (const Candidate& candidate : candidates)
    if (is_plain(candidate) && (candidate.meaning.tags & tag::kNorm) == 0 && !candidate.path.empty())
      roots.push_back(candidate.path.front());
  for (Candidate& candidate : candidates)
    if (is_plain(candidate) && std::find(roots.begin(), roots.end(), candidate.path.front()) != roots.end())
      turn(candidate, tag::kAttention, tag::kCross);
}

/// `ffn/dense` beside `ffn/dense_1`: the first of two, so that it leads up, whatever `dense` says by itself.
void settle_first_of_two(std::vector<Candidate>& candidates) {
  std::unordered_map<std::uint64_t, std::size_t> by_path;
  for (std::size_t i = 0; i < candidates.size(); ++i) by_path.emplace(candidates[i].prefixes.back(), i);
  for (const Candidate& second : candidates) {
    const auto& path = second.path;
    if (path.size() < 2 || path.back().number != 1 || (second.meaning.tags & tag::kFeedForward) == 0) continue;
    const auto first = by_path.find(second.prefixes[path.size() - 2]);
    if (first != by_path.end()) turn(candidates[first->second], tag::kDown, tag::kUp);
  }
}

/// A side's candidates of a cell, with what their names mean there.
std::vector<Candidate> candidates_of(const Side& side, const Half& half, const std::vector<Presence>& presence,
                                     const Words& words) {
  const std::uint32_t depth = side.nodes[half.home].depth;
  const std::uint64_t seed = half.home == kRoot ? 0 : mixed(side.nodes[half.home].pattern);
  const std::uint64_t seed_kind = half.home == kRoot ? 1 : 0;
  std::vector<Candidate> candidates;
  for (const std::uint32_t index : half.modules) {
    const std::span<const Token> path = std::span(side.modules[index].path).subspan(depth);
    Candidate candidate{index,
                        {path.begin(), path.end()},
                        prefixes_of(path, seed),
                        prefixes_of(path, kShared + seed_kind),
                        family_of(path),
                        unit_of(path, words),
                        {},
                        stems_of(path, words),
                        own_word_of(path, words),
                        kRoot,
                        0,
                        presence[index],
                        !path.empty() && path.back().is_number()};
    candidates.push_back(std::move(candidate));
  }
  for (Candidate& candidate : candidates) {
    const Module& module = side.modules[candidate.module];
    const Member& main = module.main();
    const bool is_alone = main.leaf == Leaf::Alone;
    candidate.meaning = meaning_of(candidate.path, words,
                                   {squeezed(side.shape(main)).size(), is_alone || main.leaf == Leaf::Bias,
                                    half.has_third_w, module.find(Leaf::Bias) != nullptr});
    if (module.find(Leaf::Mean) != nullptr) candidate.meaning.tags |= tag::kNorm;
    // Between blocks, `downsample` is a layer; within them, `conv_proj` cuts no patches.
    candidate.meaning.tags &= ~(half.home == kRoot ? tag::kShortcut : tag::kPatch);
  }
  settle_attentions(candidates);
  settle_first_of_two(candidates);
  if (half.home != kRoot) place_by_siblings(candidates);
  return candidates;
}

/// Equal for cells with the same names within the block, leaves and shapes.
std::uint64_t content_of(const Side& side, const Half& half, const std::vector<NodeId>& home_of_module,
                         const std::vector<Presence>& presence) {
  const std::uint32_t depth = side.nodes[half.home].depth;
  std::uint64_t hash = half.home == kRoot ? 0 : mixed(side.nodes[half.home].pattern);
  for (const std::uint32_t index : half.modules) {
    const Module& module = side.modules[index];
    for (std::size_t i = depth; i < module.path.size(); ++i) hash = step_hash(hash, module.path[i]);
    for (const Member& member : module.members) {
      hash = combined(hash, static_cast<std::uint64_t>(member.leaf) + 7);
      for (const std::int64_t extent : side.shape(member)) hash = combined(hash, static_cast<std::uint64_t>(extent));
    }
    const NodeId home = home_of_module[index];
    hash = combined(hash, home == half.home ? 0 : home + 3);
    hash = combined(hash, static_cast<std::uint64_t>(presence[index]));
  }
  return hash;
}

class Matcher {
 public:
  Matcher(const Listing& source, const Listing& target) : source_listing_(source), target_listing_(target) {}

  Matching run() {
    Named named = identical_names(source_listing_, target_listing_);
    result_.matches = std::move(named.identical);
    if (!named.source_left.empty() && !named.target_left.empty()) match_rest(named);
    take_back(named.reopened, source_listing_, target_listing_, result_.matches);
    orient_identical(source_listing_, target_listing_, result_.matches);
    settle_by_values(source_listing_, target_listing_, result_.matches);
    std::sort(result_.matches.begin(), result_.matches.end(),
              [](const Match& a, const Match& b) { return a.to < b.to; });
    return std::move(result_);
  }

 private:
  void match_rest(const Named& named) {
    source_ = side_of(source_listing_, named.source_left, words_);
    target_ = side_of(target_listing_, named.target_left, words_);
    partners_ = partners_of(source_, target_, words_);
    weights_ = weights_of(source_, target_, words_);
    make_drafts();
    source_presence_ = presence_of(source_, &Draft::source);
    target_presence_ = presence_of(target_, &Draft::target);
    vote_for_parents();
    for (int round = 0; round < kRounds; ++round) {
      const bool is_last = round + 1 == kRounds;
      Votes next = parent_votes_;
      pass(is_last, next);
      votes_ = std::move(next);
    }
    settle_orientation(source_listing_, target_listing_, oriented_);
    for (Oriented& row : oriented_) {
      row.match.apply = row.match.confidence >= kApply;
      result_.matches.push_back(std::move(row.match));
    }
  }

  /// For each node the innermost block with a partner that it stands in; kNone within a block that is left over.
  static std::vector<NodeId> homes_of(const Side& side, const std::vector<NodeId>& partner,
                                      const std::vector<bool>& left) {
    std::vector<NodeId> homes(side.nodes.size(), kRoot);
    for (NodeId node = 1; node < side.nodes.size(); ++node) {
      const NodeId above = homes[side.nodes[node].parent];
      homes[node] = above == BlockPartners::kNone || left[node] ? BlockPartners::kNone
                    : partner[node] != BlockPartners::kNone     ? node
                                                                : above;
    }
    return homes;
  }

  void make_drafts() {
    const auto source_homes = homes_of(source_, partners_.of_source, partners_.source_left);
    const auto target_homes = homes_of(target_, partners_.of_target, partners_.target_left);
    drafts_.push_back({});
    mark_outer(source_homes);
    const auto has_third = [&](const Side& side) {
      return std::any_of(side.modules.begin(), side.modules.end(),
                         [&](const Module& module) { return ends_in_third_w(module.path, words_); });
    };
    const bool source_third = has_third(source_), target_third = has_third(target_);
    for (NodeId node = 1; node < source_.nodes.size(); ++node) {
      if (partners_.of_source[node] == BlockPartners::kNone || source_homes[node] != node) continue;
      draft_of_[node] = drafts_.size();
      drafts_.push_back({{node, {}, false}, {partners_.of_source[node], {}, false}, partners_.is_sure[node]});
    }
    for (std::uint32_t i = 0; i < source_.modules.size(); ++i) {
      const NodeId home = source_homes[source_.modules[i].node];
      source_home_.push_back(home);
      if (home == BlockPartners::kNone) continue;
      drafts_[home == kRoot ? 0 : draft_of_[home]].source.modules.push_back(i);
    }
    for (std::uint32_t j = 0; j < target_.modules.size(); ++j) {
      const NodeId home = target_homes[target_.modules[j].node];
      target_home_.push_back(home);
      if (home == BlockPartners::kNone) continue;
      const auto draft = home == kRoot ? draft_of_.end() : draft_of_.find(partners_.of_target[home]);
      drafts_[draft == draft_of_.end() ? 0 : draft->second].target.modules.push_back(j);
    }
    for (Draft& draft : drafts_) {
      draft.source.has_third_w = source_third;
      draft.target.has_third_w = target_third;
    }
    for (std::size_t d = 1; d < drafts_.size(); ++d) order_.push_back(d);
    std::stable_sort(order_.begin(), order_.end(), [&](std::size_t a, std::size_t b) {
      return source_.nodes[drafts_[a].source.home].depth > source_.nodes[drafts_[b].source.home].depth;
    });
    order_.push_back(0);
    for (const std::size_t d : order_) above_.push_back(d == 0 ? 0 : above(d));
  }

  /// Stages: blocks of whose modules most stand in blocks of their own. What is left there may stand in the next stage.
  void mark_outer(const std::vector<NodeId>& homes) {
    std::vector<std::uint32_t> inner(source_.nodes.size(), 0);
    for (NodeId node = 1; node < source_.nodes.size(); ++node) {
      const NodeId around = homes[source_.nodes[node].parent];
      if (partners_.of_source[node] != BlockPartners::kNone && homes[node] == node && around != BlockPartners::kNone)
        inner[around] += source_.nodes[node].modules;
    }
    is_outer_.assign(source_.nodes.size(), false);
    for (NodeId node = 0; node < source_.nodes.size(); ++node)
      is_outer_[node] = 2 * inner[node] > source_.nodes[node].modules;
  }

  /// Hash of a module's path within its block, equal in all blocks of a list.
  static std::uint64_t place_of(const Side& side, const Half& half, std::uint32_t module) {
    std::uint64_t hash = mixed(side.nodes[half.home].pattern);
    for (std::size_t i = side.nodes[half.home].depth; i < side.modules[module].path.size(); ++i)
      hash = step_hash(hash, side.modules[module].path[i]);
    return hash;
  }

  /// Short lists have no pattern, nor has a block of which much is its own.
  std::vector<Presence> presence_of(const Side& side, Half Draft::*half_of) const {
    std::unordered_map<std::uint64_t, std::size_t> with_module;
    std::unordered_map<std::uint32_t, std::size_t> blocks;
    for (std::size_t d = 1; d < drafts_.size(); ++d) {
      const Half& half = drafts_[d].*half_of;
      ++blocks[side.nodes[half.home].pattern];
      for (const std::uint32_t module : half.modules) ++with_module[place_of(side, half, module)];
    }
    std::vector<Presence> presence(side.modules.size(), Presence::Some);
    for (std::size_t d = 1; d < drafts_.size(); ++d) {
      const Half& half = drafts_[d].*half_of;
      const std::size_t all = blocks[side.nodes[half.home].pattern];
      if (all < kLeastList) continue;
      std::vector<std::uint32_t> odd;
      for (const std::uint32_t module : half.modules) {
        const std::size_t count = with_module[place_of(side, half, module)];
        if (count == 1) odd.push_back(module);
        if (2 * count >= all) presence[module] = Presence::Regular;
      }
      if (odd.size() * kMostOdd > half.modules.size()) continue;
      for (const std::uint32_t module : odd) presence[module] = Presence::Odd;
    }
    return presence;
  }

  /// The cell that takes what this one leaves: of the block around it, where both sides' are partners; else the root's.
  std::size_t above(std::size_t draft) const {
    NodeId up = source_.nodes[drafts_[draft].source.home].parent;
    for (; up != kRoot; up = source_.nodes[up].parent) {
      const auto found = draft_of_.find(up);
      if (found != draft_of_.end() && target_.is_below(drafts_[draft].target.home, drafts_[found->second].target.home))
        return found->second;
    }
    return 0;
  }

  std::vector<Token> path_to(const Side& side, NodeId node) const {
    std::vector<Token> path;
    for (; node != kRoot; node = side.nodes[node].parent) path.push_back(side.nodes[node].token);
    std::reverse(path.begin(), path.end());
    return path;
  }

  /// Blocks that are partners vote, among what stands outside of blocks, for the modules around them.
  void vote_for_parents() {
    std::map<std::pair<NodeId, NodeId>, bool> seen;
    for (const Draft& draft : drafts_) {
      if (draft.source.home == kRoot || !draft.is_sure) continue;
      const NodeId a = source_.nodes[draft.source.home].parent, b = target_.nodes[draft.target.home].parent;
      if (a == kRoot || b == kRoot || !seen.try_emplace({a, b}, true).second) continue;
      parent_votes_.add(prefixes_of(path_to(source_, a), 0), prefixes_of(path_to(target_, b), 0), 1);
    }
    votes_ = parent_votes_;
  }

  /// A cell solved, with the paths that its settled pairs vote for, once for every cell that is like it.
  struct Solved {
    Solution solution;
    std::vector<std::pair<std::vector<std::uint64_t>, std::vector<std::uint64_t>>> votes;
    std::vector<std::uint32_t> source_up, target_up;  ///< candidates that the cell above may try
    double times = 0;
  };

  void pass(bool is_last, Votes& next) {
    std::vector<Draft> drafts = drafts_;
    std::unordered_map<std::uint64_t, Solved> solved;
    for (std::size_t k = 0; k < order_.size(); ++k) {
      Draft& draft = drafts[order_[k]];
      std::sort(draft.source.modules.begin(), draft.source.modules.end());
      std::sort(draft.target.modules.begin(), draft.target.modules.end());
      const std::uint64_t content = combined(content_of(source_, draft.source, source_home_, source_presence_),
                                             content_of(target_, draft.target, target_home_, target_presence_));
      const auto [at, is_new] = solved.try_emplace(content);
      if (is_new) at->second = solved_now(draft);
      at->second.times += 1;
      if (is_last) keep(draft, at->second.solution);
      if (order_[k] == 0) continue;
      Draft& up = drafts[above_[k]];
      for (const std::uint32_t i : at->second.source_up) up.source.modules.push_back(draft.source.modules[i]);
      for (const std::uint32_t j : at->second.target_up) up.target.modules.push_back(draft.target.modules[j]);
    }
    for (const auto& [content, cell] : solved)
      for (const auto& [a, b] : cell.votes) next.add(a, b, cell.times);
  }

  Solved solved_now(const Draft& draft) const {
    Cell cell{&source_, &target_, candidates_of(source_, draft.source, source_presence_, words_),
              candidates_of(target_, draft.target, target_presence_, words_), draft.source.home == kRoot};
    set_homes(cell, draft);
    Solved solved;
    solved.solution = solve(cell, votes_, weights_);
    for (const auto& [i, j] : solved.solution.settled) {
      solved.votes.emplace_back(cell.source[i].prefixes, cell.target[j].prefixes);
      solved.votes.emplace_back(cell.source[i].shared, cell.target[j].shared);
    }
    for (const std::uint32_t i : solved.solution.source_left)
      if (!votes_.knows_source(cell.source[i].prefixes.back())) solved.source_up.push_back(i);
    for (const std::uint32_t j : solved.solution.target_left)
      if (!votes_.knows_target(cell.target[j].prefixes.back())) solved.target_up.push_back(j);
    return solved;
  }

  /// What an inner block left keeps to its block's partner, where that has one.
  void set_homes(Cell& cell, const Draft& draft) const {
    for (Candidate& candidate : cell.source) candidate.home = source_home_[candidate.module];
    for (Candidate& candidate : cell.target) {
      const NodeId home = target_home_[candidate.module];
      candidate.home = home == kRoot ? kRoot : partners_.of_target[home];
    }
    for (auto* side : {&cell.source, &cell.target})
      for (Candidate& candidate : *side) {
        if (candidate.home == draft.source.home || is_outer_[candidate.home]) candidate.home = kRoot;
        candidate.home_pattern = source_.nodes[candidate.home].pattern;
      }
  }

  static const Member& member(const Side& side, const Half& half, const Spot& spot) {
    return side.modules[half.modules[spot.candidate]].members[spot.member];
  }

  /// Leaves that are laid out alike have one number: `kernel` is not `weight`, a parameter of its own is neither.
  static std::uint32_t layout_of(const Member& member) {
    return static_cast<std::uint32_t>(member.leaf) * 2 + (member.is_kernel ? 1 : 0);
  }

  void keep(const Draft& draft, const Solution& solution) {
    for (const Link& link : solution.links) {
      Oriented row;
      const Member& to = member(target_, draft.target, link.to);
      row.match = {to.tensor, {}, link.how, link.part, link.parts, link.confidence, false, {}};
      for (const Spot& spot : link.from) row.match.from.push_back(member(source_, draft.source, spot).tensor);
      for (const Spot& spot : link.runner_up) row.match.runner_up.push_back(member(source_, draft.source, spot).tensor);
      row.is_in_block = draft.source.home != kRoot;
      row.is_table = link.is_table;
      row.source_leaf = layout_of(member(source_, draft.source, link.from.front()));
      row.target_leaf = layout_of(to);
      if (!draft.is_sure) row.match.confidence = std::min(row.match.confidence, 0.7);
      oriented_.push_back(std::move(row));
    }
  }

  const Listing &source_listing_, &target_listing_;
  Words words_;
  Side source_, target_;
  BlockPartners partners_;
  WordWeights weights_;
  std::vector<Draft> drafts_;  ///< [0] is the root's
  std::unordered_map<NodeId, std::size_t> draft_of_;
  std::vector<std::size_t> order_, above_;
  std::vector<Presence> source_presence_, target_presence_;  ///< by module
  std::vector<bool>
      is_outer_;  ///< by source node: blocks with partners stand in it, so what is left may stand in the next
  std::vector<NodeId> source_home_, target_home_;  ///< by module: the innermost block with a partner
  Votes votes_, parent_votes_;
  std::vector<Oriented> oriented_;
  Matching result_;
};

}  // namespace

Matching match(const Listing& source, const Listing& target) { return Matcher(source, target).run(); }

std::string_view how_name(How how) {
  switch (how) {
    case How::Identical: return "identical";
    case How::Rename: return "rename";
    case How::Transpose: return "transpose";
    case How::Permute: return "permute";
    case How::Reshape: return "reshape";
    case How::Split: return "split";
    case How::Fuse: return "fuse";
  }
  return {};
}

}  // namespace tenon::match
