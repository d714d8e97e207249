#include <algorithm>
#include <map>

#include "match/assignment.hpp"
#include "match/cell.hpp"
#include "match/fusion.hpp"
#include "match/hash.hpp"
#include "match/score.hpp"
#include "match/shapes.hpp"

namespace tenon::match {
namespace {

constexpr std::uint32_t kNone = static_cast<std::uint32_t>(-1);
constexpr std::size_t kMaxClass = 64;  // larger classes are paired by families in order, or not at all
constexpr double kFloor = -0.15;       // worse pairs are none
constexpr double kIfFilled = 0.94;     // sure where every module of one side of the cell has found its partner
constexpr double kIfComplete = 0.86;   // sure where those of both sides have
constexpr double kDoubtful = 0.35;     // another would do nearly as well: right in one case of three, measured
constexpr std::uint32_t kCrowd = 3;    // modules of one size that make it a common one
constexpr double kParentsOnly = 0.25;  // votes below are for what stands around both, not for themselves
constexpr double kSettled = 0.95;      // surer pairs vote

constexpr Tags kTables = tag::kTokens | tag::kPositions | tag::kTypes | tag::kRelative | tag::kIndexTable;

std::uint32_t index_of(const Module& module, const Member* member) {
  return static_cast<std::uint32_t>(member - module.members.data());
}

How how_of(Relation relation, std::size_t axes) {
  switch (relation) {
    case Relation::Permuted: return axes == 2 ? How::Transpose : How::Permute;
    case Relation::Squeezed:
    case Relation::Reshaped: return How::Reshape;
    case Relation::None:
    case Relation::Equal: break;
  }
  return How::Rename;
}

class Solver {
 public:
  Solver(const Cell& cell, const Votes& votes, const WordWeights& weights)
      : cell_(cell),
        votes_(votes),
        weights_(weights),
        source_tags_(tags_of(cell.source)),
        target_tags_(tags_of(cell.target)),
        source_used_(cell.source.size(), false),
        target_used_(cell.target.size(), false) {}

  Solution solve() {
    for (const Fusion& fusion : fusions_of(cell_, votes_)) link(fusion);
    link_lone_biases();
    link_stacks();
    link_classes();
    link_loose_members();
    raise_complete();
    for (std::uint32_t i = 0; i < source_used_.size(); ++i)
      if (!source_used_[i]) solution_.source_left.push_back(i);
    for (std::uint32_t i = 0; i < target_used_.size(); ++i)
      if (!target_used_[i]) solution_.target_left.push_back(i);
    return std::move(solution_);
  }

 private:
  const Module& source(std::uint32_t index) const { return cell_.source_side->modules[cell_.source[index].module]; }
  const Module& target(std::uint32_t index) const { return cell_.target_side->modules[cell_.target[index].module]; }

  // Fused tensors -----------------------------------------------------------------------------------------------------

  void link(const Fusion& fusion) { fusion.direction == Direction::Split ? link_split(fusion) : link_fuse(fusion); }

  void link_split(const Fusion& fusion) {
    const Module& whole = source(fusion.whole);
    const auto parts = static_cast<std::uint32_t>(fusion.parts.size());
    for (std::uint32_t k = 0; k < parts; ++k) {
      const Module& part = target(fusion.parts[k]);
      for (const Member& member : part.members) {
        const Member* from = &member == &part.main() ? &whole.main() : whole.find(member.leaf);
        if (from == nullptr || member.leaf == Leaf::Counter) continue;
        solution_.links.push_back({{{fusion.whole, index_of(whole, from)}},
                                   {fusion.parts[k], index_of(part, &member)},
                                   How::Split,
                                   k,
                                   parts,
                                   0.99,
                                   {},
                                   false});
      }
      target_used_[fusion.parts[k]] = true;
      solution_.settled.emplace_back(fusion.whole, fusion.parts[k]);
    }
    source_used_[fusion.whole] = true;
  }

  void link_fuse(const Fusion& fusion) {
    const Module& whole = target(fusion.whole);
    for (const Member& member : whole.members) {
      Link link{{}, {fusion.whole, index_of(whole, &member)}, How::Fuse, 0, 1, 0.99, {}, false};
      for (const std::uint32_t index : fusion.parts) {
        const Module& part = source(index);
        const Member* from = &member == &whole.main() ? &part.main() : part.find(member.leaf);
        if (from != nullptr) link.from.push_back({index, index_of(part, from)});
      }
      if (link.from.empty()) continue;
      if (link.from.size() < fusion.parts.size())
        link.confidence = 0.6;  // a missing bias would have to be made of zeros
      solution_.links.push_back(std::move(link));
    }
    for (const std::uint32_t index : fusion.parts) {
      source_used_[index] = true;
      solution_.settled.emplace_back(index, fusion.whole);
    }
    target_used_[fusion.whole] = true;
  }

  /// `q_bias` beside a fused weight, against `query.bias`: biases on their own that a fusion left open.
  void link_lone_biases() {
    for (std::uint32_t i = 0; i < cell_.source.size(); ++i) {
      const Module& lone = source(i);
      if (source_used_[i] || lone.main().leaf != Leaf::Bias || cell_.source[i].meaning.parts() == 0) continue;
      for (std::uint32_t j = 0; j < cell_.target.size(); ++j) {
        const Member* bias = target(j).find(Leaf::Bias);
        if (bias == nullptr || bias->elements != lone.main().elements || !suits(i, j) || is_linked(j, *bias)) continue;
        if (!is_linked(j, target(j).main())) continue;  // on its own on both sides: a module like others
        solution_.links.push_back({{{i, 0}}, {j, index_of(target(j), bias)}, How::Rename, 0, 1, 0.97, {}, false});
        source_used_[i] = true;
        break;
      }
    }
  }

  bool suits(std::uint32_t i, std::uint32_t j) const {
    const Meaning &a = cell_.source[i].meaning, &b = cell_.target[j].meaning;
    return a.parts() == b.parts() && (a.units() == 0 || b.units() == 0 || a.units() == b.units());
  }

  bool is_linked(std::uint32_t j, const Member& member) const {
    const Spot spot{j, index_of(target(j), &member)};
    return std::any_of(solution_.links.begin(), solution_.links.end(),
                       [&](const Link& link) { return link.to == spot; });
  }

  // Stacked tensors ---------------------------------------------------------------------------------------------------

  /// Experts one by one on one side, stacked along a new first axis on the other.
  void link_stacks() {
    const auto of_source = numbered_families(cell_.source, source_used_),
               of_target = numbered_families(cell_.target, target_used_);
    for (std::uint32_t j = 0; j < cell_.target.size(); ++j) {
      if (target_used_[j]) continue;
      if (const auto* parts =
              stack_for(cell_.target[j], *cell_.target_side, of_source, *cell_.source_side, cell_.source))
        link_stack(*parts, j);
      else if (const auto both = gated_stack_for(cell_.target[j], of_source); !both.empty())
        link_stack(both, j);
    }
    for (std::uint32_t i = 0; i < cell_.source.size(); ++i)
      if (!source_used_[i])
        if (const auto* parts =
                stack_for(cell_.source[i], *cell_.source_side, of_target, *cell_.target_side, cell_.target))
          link_unstack(i, *parts);
  }

  using Families = std::map<std::uint64_t, std::vector<std::uint32_t>>;

  static Families numbered_families(const std::vector<Candidate>& candidates, const std::vector<bool>& used) {
    Families families;
    for (std::uint32_t i = 0; i < candidates.size(); ++i)
      if (!used[i]) families[combined(candidates[i].family, candidates[i].meaning.parts())].push_back(i);
    return families;
  }

  /// The one family whose members are as many as the first axis is long, of the shape of the others, and the same part;
  /// of several, the one that is called alike.
  static const std::vector<std::uint32_t>* stack_for(const Candidate& whole, const Side& side, const Families& families,
                                                     const Side& other, const std::vector<Candidate>& candidates) {
    const Shape& shape = side.shape(side.modules[whole.module].main());
    if (shape.size() < 2 || shape[0] < 2) return nullptr;
    const Shape inner(shape.begin() + 1, shape.end());
    std::vector<const std::vector<std::uint32_t>*> fitting, alike;
    for (const auto& [family, members] : families) {
      const bool fits = static_cast<std::int64_t>(members.size()) == shape[0] &&
                        std::all_of(members.begin(), members.end(), [&](std::uint32_t index) {
                          const Candidate& part = candidates[index];
                          const Module& module = other.modules[part.module];
                          return module.members.size() == 1 && other.shape(module.main()) == inner &&
                                 part.meaning.parts() == whole.meaning.parts();
                        });
      if (!fits) continue;
      fitting.push_back(&members);
      if (candidates[members.front()].own_word == whole.own_word) alike.push_back(&members);
    }
    if (shape.size() == 3 && fitting.size() == 1) return fitting.front();
    return alike.size() == 1 ? alike.front() : nullptr;
  }

  /// Gates and ups of all experts in one tensor, each expert's gate before its up: the one family of each.
  std::vector<std::uint32_t> gated_stack_for(const Candidate& whole, const Families& families) const {
    const Shape& shape = cell_.target_side->shape(cell_.target_side->modules[whole.module].main());
    if (shape.size() != 3 || shape[0] < 2 || shape[1] % 2 != 0) return {};
    if (whole.meaning.parts() != (tag::kGate | tag::kUp)) return {};
    std::map<Tags, const std::vector<std::uint32_t>*> found;
    for (const auto& [family, members] : families) {
      const Tags part = cell_.source[members.front()].meaning.parts();
      if (part != tag::kGate && part != tag::kUp) continue;
      const bool fits = static_cast<std::int64_t>(members.size()) == shape[0] &&
                        std::all_of(members.begin(), members.end(), [&](std::uint32_t index) {
                          return source(index).members.size() == 1 &&
                                 cell_.source_side->shape(source(index).main()) == Shape{shape[1] / 2, shape[2]};
                        });
      if (fits && !found.emplace(part, &members).second) return {};
    }
    if (found.size() != 2) return {};
    std::vector<std::uint32_t> both;
    for (std::size_t k = 0; k < found[tag::kGate]->size(); ++k) {
      both.push_back((*found[tag::kGate])[k]);
      both.push_back((*found[tag::kUp])[k]);
    }
    return both;
  }

  void link_stack(const std::vector<std::uint32_t>& parts, std::uint32_t j) {
    Link link{{}, {j, index_of(target(j), &target(j).main())}, How::Fuse, 0, 1, 0.97, {}, false};
    for (const std::uint32_t index : parts) {
      link.from.push_back({index, index_of(source(index), &source(index).main())});
      source_used_[index] = true;
    }
    target_used_[j] = true;
    solution_.links.push_back(std::move(link));
  }

  void link_unstack(std::uint32_t i, const std::vector<std::uint32_t>& parts) {
    const Spot from{i, index_of(source(i), &source(i).main())};
    for (std::uint32_t k = 0; k < parts.size(); ++k) {
      solution_.links.push_back({{from},
                                 {parts[k], index_of(target(parts[k]), &target(parts[k]).main())},
                                 How::Split,
                                 k,
                                 static_cast<std::uint32_t>(parts.size()),
                                 0.97,
                                 {},
                                 false});
      target_used_[parts[k]] = true;
    }
    source_used_[i] = true;
  }

  // One to one --------------------------------------------------------------------------------------------------------

  void link_classes() {
    std::map<std::int64_t, std::pair<std::vector<std::uint32_t>, std::vector<std::uint32_t>>> classes;
    for (std::uint32_t i = 0; i < cell_.source.size(); ++i)
      if (!source_used_[i]) classes[source(i).main().elements].first.push_back(i);
    for (std::uint32_t j = 0; j < cell_.target.size(); ++j)
      if (!target_used_[j]) classes[target(j).main().elements].second.push_back(j);
    for (const auto& [elements, sides] : classes) {
      if (sides.first.empty() || sides.second.empty()) continue;
      if (std::max(sides.first.size(), sides.second.size()) > kMaxClass)
        link_large_class(sides.first, sides.second);
      else
        link_class(sides.first, sides.second);
    }
  }

  void link_class(const std::vector<std::uint32_t>& left, const std::vector<std::uint32_t>& right) {
    const Scorer scorer(cell_, left, right, votes_, weights_);
    Scores scores{left.size(), right.size(), {}};
    for (std::size_t i = 0; i < left.size(); ++i)
      for (std::size_t j = 0; j < right.size(); ++j) scores.values.push_back(scorer.score(i, j));
    // In a block, the only two modules of a size go together for a trial, whatever other blocks say: see
    // raise_complete.
    if (left.size() == 1 && right.size() == 1 && !cell_.is_root && scorer.vote(0, 0) < 0)
      scores.values[0] -= 0.8 * scorer.vote(0, 0);
    const auto column_of = assign(scores, kFloor);
    for (std::size_t i = 0; i < left.size(); ++i) {
      if (column_of[i] == kUnassigned) continue;
      const std::size_t j = column_of[i];
      const Module& module = target(right[j]);
      const std::size_t axes = squeezed(cell_.target_side->shape(module.main())).size();
      double sure = confidence(scores, column_of, i, scorer.evidence(i, j), axes, are_running_norms(left[i], right[j]));
      const bool is_only = left.size() == 1 && right.size() == 1;
      if (scorer.vote(i, j) < 0) sure = is_only ? kIfComplete : std::min(sure, 0.6);  // other blocks say otherwise
      if (scorer.vote(i, j) < kParentsOnly && are_strays(left[i], right[j])) sure = std::min(sure, kIfComplete);
      if (is_against_pattern(left[i],
                             right[j]))  // a block's only matrix of its size may differ in kind from the others'
        sure = std::min(sure, is_only && axes >= 2 && !cell_.is_root ? kIfComplete : kDoubtful);
      if (is_order_unknown(left[i], right[j]) || contradict(left[i], right[j]) || scale_others(left[i], right[j]))
        sure = std::min(sure, kDoubtful);
      link_pair(left[i], right[j], sure, runner_up(scores, i, j, left));
    }
  }

  /// What one block alone has is not what all have; two such modules go together only where they are called alike.
  bool is_against_pattern(std::uint32_t i, std::uint32_t j) const {
    const Candidate &a = cell_.source[i], &b = cell_.target[j];
    const bool a_odd = a.presence == Presence::Odd, b_odd = b.presence == Presence::Odd;
    if (!a_odd && !b_odd) return false;
    if ((a.meaning.things() & b.meaning.things()) != 0) return false;
    if (a_odd != b_odd && (cell_.is_root || a.presence == Presence::Regular || b.presence == Presence::Regular))
      return true;
    return (a.meaning.parts() & b.meaning.parts()) == 0 && a.own_word != b.own_word;
  }

  /// `norm1` against the norm of an attention, in a block with two: which runs first, a number does not tell.
  bool is_order_unknown(std::uint32_t i, std::uint32_t j) const {
    const Meaning &a = cell_.source[i].meaning, &b = cell_.target[j].meaning;
    if (!a.has_place || !b.has_place || a.is_counted == b.is_counted) return false;
    if (!is_place_of_attention(a.is_counted ? b.place : a.place)) return false;
    const Tags units = source_tags_ | target_tags_;
    const bool has_both = (units & tag::kAttention) != 0 && (units & tag::kCross) != 0;
    return has_both && ((a.is_counted ? source_tags_ : target_tags_) & tag::kSecond) == 0;
  }

  /// Outside of blocks, of a size that many modules have, and called by words that have nothing in common: what one
  /// side has added against what the other has, or what is left of two blocks.
  bool are_strays(std::uint32_t i, std::uint32_t j) const {
    const Candidate &a = cell_.source[i], &b = cell_.target[j];
    if (!cell_.is_root || std::max(crowd(*cell_.source_side, a), crowd(*cell_.target_side, b)) < kCrowd) return false;
    if ((a.meaning.things() & b.meaning.things()) != 0 || (a.meaning.parts() & b.meaning.parts()) != 0) return false;
    return a.own_word != b.own_word && !(a.meaning.has_norm_word && b.meaning.has_norm_word);
  }

  static std::uint32_t crowd(const Side& side, const Candidate& candidate) {
    return side.crowds.at(side.modules[candidate.module].signature);
  }

  static Tags tags_of(const std::vector<Candidate>& candidates) {
    Tags tags = 0;
    for (const Candidate& candidate : candidates) tags |= candidate.meaning.tags;
    return tags;
  }

  /// Norms of matrices that are not each other's.
  bool scale_others(std::uint32_t i, std::uint32_t j) const {
    const std::int64_t a = source(i).companion, b = target(j).companion;
    return a != 0 && b != 0 && a != b;
  }

  /// One stands in an encoder, the other in a decoder; one sees, the other reads.
  bool contradict(std::uint32_t i, std::uint32_t j) const {
    const Tags a = cell_.source[i].meaning.tags, b = cell_.target[j].meaning.tags;
    for (const Tags towers : {tag::kVision | tag::kText, tag::kEncoder | tag::kDecoder})
      if ((a & towers) != 0 && (b & towers) != 0 && (a & b & towers) == 0) return true;
    return false;
  }

  /// Both are called norms and keep statistics: four tensors of one size.
  bool are_running_norms(std::uint32_t i, std::uint32_t j) const {
    const auto is_one = [](const Module& module) {
      return module.find(Leaf::Mean) != nullptr && module.find(Leaf::Variance) != nullptr;
    };
    return is_one(source(i)) && is_one(target(j)) && cell_.source[i].meaning.has_norm_word &&
           cell_.target[j].meaning.has_norm_word;
  }

  /// Margin against the next best, and what names, places and votes say. Without them a shape must be one of its kind.
  double confidence(const Scores& scores, const std::vector<std::size_t>& column_of, std::size_t row, double evidence,
                    std::size_t axes, bool is_running_norm) const {
    const double lead = margin(scores, column_of, row, kFloor);
    const bool is_only = is_alone(scores, row, column_of[row]);
    if (lead < 0.25 && !is_only) return lead >= 0.15 ? 0.9 : kDoubtful + std::max(lead, 0.0);
    if (evidence >= 0.25) return lead >= 0.4 || is_only ? 0.99 : 0.96;
    const bool is_telling = axes > 2 || (axes == 2 && (!cell_.is_root || evidence >= 0.03));
    if (is_only && is_telling && evidence >= -0.1) return 0.96;  // no other of this size
    if (is_only && evidence >= 0.15) return 0.96;
    if (is_only && is_running_norm) return 0.96;
    return evidence >= 0.03 ? kIfFilled : evidence >= -0.1 ? kIfComplete : kDoubtful;
  }

  static bool is_alone(const Scores& scores, std::size_t row, std::size_t column) {
    for (std::size_t j = 0; j < scores.columns; ++j)
      if (j != column && scores.at(row, j) > kImpossible / 2) return false;
    for (std::size_t i = 0; i < scores.rows; ++i)
      if (i != row && scores.at(i, column) > kImpossible / 2) return false;
    return true;
  }

  static std::vector<std::uint32_t> runner_up(const Scores& scores, std::size_t row, std::size_t column,
                                              const std::vector<std::uint32_t>& left) {
    std::size_t best = row;
    for (std::size_t i = 0; i < scores.rows; ++i)
      if (i != row && (best == row || scores.at(i, column) > scores.at(best, column))) best = i;
    if (best == row || scores.at(best, column) < kFloor) return {};
    return {left[best]};
  }

  /// One family of names against one, in natural order: `layers.0 ... layers.4999`.
  void link_large_class(const std::vector<std::uint32_t>& left, const std::vector<std::uint32_t>& right) {
    std::map<std::uint64_t, std::vector<std::uint32_t>> families, others;
    for (const std::uint32_t i : left) families[cell_.source[i].family].push_back(i);
    for (const std::uint32_t j : right) others[cell_.target[j].family].push_back(j);
    if (families.size() != 1 || others.size() != 1 || left.size() != right.size()) return;
    for (std::size_t k = 0; k < left.size(); ++k) {
      double share = 0;
      if (leaves_agree(source(left[k]), target(right[k]), share)) link_pair(left[k], right[k], 0.96, {});
    }
  }

  void link_pair(std::uint32_t i, std::uint32_t j, double confidence, const std::vector<std::uint32_t>& rivals) {
    const Module &a = source(i), &b = target(j);
    for (const Member& member : b.members) {
      const Member* from = &member == &b.main() ? &a.main() : a.find(member.leaf);
      if (from == nullptr) continue;
      const Shape &have = cell_.source_side->shape(*from), &want = cell_.target_side->shape(member);
      const Relation relation = relation_between(have, want);
      if (relation == Relation::None) continue;
      Link link{{{i, index_of(a, from)}},
                {j, index_of(b, &member)},
                how_of(relation, squeezed(want).size()),
                0,
                1,
                confidence,
                {},
                false};
      link.is_table = ((cell_.source[i].meaning.tags | cell_.target[j].meaning.tags) & kTables) != 0;
      for (const std::uint32_t rival : rivals) {
        const Member* other = member.leaf == from->leaf ? source(rival).find(from->leaf) : &source(rival).main();
        if (other != nullptr) link.runner_up.push_back({rival, index_of(source(rival), other)});
      }
      solution_.links.push_back(std::move(link));
    }
    source_used_[i] = true;
    target_used_[j] = true;
    if (confidence >= kSettled) solution_.settled.emplace_back(i, j);
  }

  // What is left ------------------------------------------------------------------------------------------------------

  struct Loose {
    Spot spot;
    const Member* member = nullptr;
  };

  /// Biases (and other leaves) that belong to modules cut otherwise: `lm_head.bias` beside `lm_head.decoder.weight`.
  /// Only the one tensor of its leaf and size, and only where the names go together.
  void link_loose_members() {
    std::map<std::pair<Leaf, std::int64_t>, std::pair<std::vector<Loose>, std::vector<Loose>>> loose;
    std::map<std::pair<std::uint32_t, std::uint32_t>, bool> taken, filled;
    for (const Link& link : solution_.links) {
      filled[{link.to.candidate, link.to.member}] = true;
      for (const Spot& spot : link.from) taken[{spot.candidate, spot.member}] = true;
    }
    const auto collect = [&](std::uint32_t index, const Module& module, const auto& used, auto side) {
      for (const Member& member : module.members) {
        const Spot spot{index, index_of(module, &member)};
        if (member.leaf == Leaf::Bias && !used.contains({spot.candidate, spot.member}))
          (loose[{member.leaf, member.elements}].*side).push_back({spot, &member});
      }
    };
    using Pair = std::pair<std::vector<Loose>, std::vector<Loose>>;
    for (std::uint32_t i = 0; i < cell_.source.size(); ++i) collect(i, source(i), taken, &Pair::first);
    for (std::uint32_t j = 0; j < cell_.target.size(); ++j) collect(j, target(j), filled, &Pair::second);
    for (const auto& [key, sides] : loose)
      if (sides.first.size() == 1 && sides.second.size() == 1) link_loose(sides.first[0], sides.second[0]);
  }

  void link_loose(const Loose& from, const Loose& to) {
    const bool is_lone =
        target(to.spot.candidate).members.size() == 1 || source(from.spot.candidate).members.size() == 1;
    const Candidate &a = cell_.source[from.spot.candidate], &b = cell_.target[to.spot.candidate];
    const bool agrees = (a.meaning.tags & b.meaning.tags & (tag::kThings | tag::kParts)) != 0;
    if (!is_lone || !agrees) return;
    solution_.links.push_back({{from.spot}, to.spot, How::Rename, 0, 1, 0.96, {}, false});
    source_used_[from.spot.candidate] = true;
    target_used_[to.spot.candidate] = true;
  }

  /// Where nothing is left over, what is the only one of its size needs little or no name to speak for it.
  void raise_complete() {
    const auto all = [](const std::vector<bool>& used) {
      return std::find(used.begin(), used.end(), false) == used.end();
    };
    const bool is_other_head = leaves_counterparts();
    const bool source_done = is_other_head || all(source_used_), target_done = is_other_head || all(target_used_);
    for (Link& link : solution_.links) {
      const bool is_sure = (link.confidence == kIfFilled && (source_done || target_done)) ||
                           (link.confidence == kIfComplete && source_done && target_done);
      if (is_sure && link.runner_up.empty()) link.confidence = 0.96;
    }
  }

  /// One module left on each side, matrices that share an extent: the same layer for another number of classes.
  bool leaves_counterparts() const {
    const auto only = [](const std::vector<bool>& used) {
      const auto first = std::find(used.begin(), used.end(), false);
      const bool is_one = first != used.end() && std::find(first + 1, used.end(), false) == used.end();
      return is_one ? static_cast<std::uint32_t>(first - used.begin()) : kNone;
    };
    const std::uint32_t i = only(source_used_), j = only(target_used_);
    if (i == kNone || j == kNone) return false;
    const Shape &a = cell_.source_side->shape(source(i).main()), &b = cell_.target_side->shape(target(j).main());
    return a.size() == 2 && b.size() == 2 && a != b && (a[0] == b[0] || a[1] == b[1] || a[0] == b[1] || a[1] == b[0]);
  }

  const Cell& cell_;
  const Votes& votes_;
  const WordWeights& weights_;
  Tags source_tags_ = 0, target_tags_ = 0;  ///< of all candidates
  std::vector<bool> source_used_, target_used_;
  Solution solution_;
};

}  // namespace

Solution solve(const Cell& cell, const Votes& votes, const WordWeights& weights) {
  return Solver(cell, votes, weights).solve();
}

}  // namespace tenon::match
