#include "match/score.hpp"

#include <algorithm>
#include <bit>
#include <map>

#include "match/shapes.hpp"

namespace tenon::match {
namespace {

using namespace tag;

constexpr std::size_t kNoGroup = 0, kNormGroup = 1, kScaleGroup = 2;

std::size_t place_group(const Meaning& meaning) {
  if (!meaning.has_place || meaning.parts() != 0 || (meaning.tags & (kShortcut | kHead)) != 0) return kNoGroup;
  return (meaning.tags & kLayerScale) != 0 ? kScaleGroup : kNormGroup;
}

/// +1 where both say the same, -1 where they contradict each other, 0 where a side says nothing.
double agreement(Tags a, Tags b) {
  if (a == 0 || b == 0) return 0;
  if (a == b) return 1;
  const int common = std::popcount(a & b), all = std::popcount(a | b);
  return common == 0 ? -1 : static_cast<double>(common) / all;
}

/// The unit by name, or the one that the parts belong to.
Tags units_of(const Meaning& meaning) {
  if (meaning.units() != 0) return meaning.units();
  const Tags parts = meaning.parts();
  if ((parts & (kQuery | kKey | kValue)) != 0) return kAttention;
  return (parts & (kGate | kUp | kDown)) != 0 ? kFeedForward : 0;
}

/// Two norms that are not ranked among others: both first, both last, or one this and one that.
double by_place(double a, double b) {
  const auto end = [](double place) { return place < 1 ? -1 : place > Meaning::kNoPlace ? 1 : 0; };
  if (end(a) == 0 || end(b) == 0) return end(a) + end(b) < 0 ? -0.15 : 0;
  return end(a) == end(b) ? 0.25 : -0.5;
}

bool is_main(Leaf leaf) { return leaf == Leaf::Weight || leaf == Leaf::Alone || leaf == Leaf::Direction; }

}  // namespace

bool leaves_agree(const Module& a, const Module& b, double& share) {
  if (is_main(a.main().leaf) != is_main(b.main().leaf)) return false;
  if (!is_main(a.main().leaf) && a.main().leaf != b.main().leaf) return false;
  if (a.main().elements != b.main().elements) return false;
  double common = 1, all = 1;
  for (const Member& member : a.members) {
    if (&member == &a.main() || member.leaf == Leaf::Counter) continue;
    ++all;
    const Member* other = b.find(member.leaf);
    if (other == nullptr) continue;
    if (other->elements != member.elements) return false;
    ++common;
  }
  for (const Member& member : b.members)
    if (&member != &b.main() && member.leaf != Leaf::Counter && a.find(member.leaf) == nullptr) ++all;
  share = common / all;
  return true;
}

namespace {

bool bears(const Candidate& candidate, WordId stem) {
  return std::binary_search(candidate.stems.begin(), candidate.stems.end(), stem);
}

std::map<WordId, std::size_t> bearers(const std::vector<const Candidate*>& candidates) {
  std::map<WordId, std::size_t> counts;
  for (const Candidate* candidate : candidates)
    for (const WordId stem : candidate->stems) ++counts[stem];
  return counts;
}

std::vector<const Candidate*> chosen(const std::vector<Candidate>& all, const std::vector<std::uint32_t>& which) {
  std::vector<const Candidate*> result;
  for (const std::uint32_t index : which) result.push_back(&all[index]);
  return result;
}

}  // namespace

std::vector<WordId> telling_stems(const std::vector<const Candidate*>& source,
                                  const std::vector<const Candidate*>& target) {
  std::vector<WordId> telling;
  if (std::max(source.size(), target.size()) < 2) return telling;
  const auto have = bearers(source), want = bearers(target);
  for (const auto& [stem, count] : have) {
    const auto found = want.find(stem);
    if (found != want.end() && found->second == count && count < std::max(source.size(), target.size()))
      telling.push_back(stem);
  }
  return telling;
}

double contrast(const std::vector<WordId>& telling, const Candidate& a, const Candidate& b) {
  double score = 0;
  for (const WordId stem : telling) {
    const bool here = bears(a, stem), there = bears(b, stem);
    if (here || there) score += here == there ? 0.2 : -0.3;
  }
  return std::clamp(score, -kMostContrast, kMostContrast);
}

Scorer::Scorer(const Cell& cell, std::vector<std::uint32_t> source, std::vector<std::uint32_t> target,
               const Votes& votes, const WordWeights& weights)
    : cell_(cell),
      votes_(votes),
      weights_(weights),
      telling_(telling_stems(chosen(cell.source, source), chosen(cell.target, target))),
      source_(rows_of(cell.source, source)),
      target_(rows_of(cell.target, target)) {
  settle_places();
}

std::vector<Scorer::Row> Scorer::rows_of(const std::vector<Candidate>& all,
                                         const std::vector<std::uint32_t>& which) const {
  std::map<std::uint64_t, std::size_t> families;
  std::vector<Row> rows;
  for (const std::uint32_t candidate : which) {
    const std::uint64_t family = all[candidate].family;
    rows.push_back({candidate, family, 1, families[family]++, place_group(all[candidate].meaning), 0});
  }
  for (Row& row : rows) row.family_size = families[row.family];
  for (const std::size_t group : {kNormGroup, kScaleGroup}) rank_places(rows, all, group);
  return rows;
}

/// Ranks by place; where two have one place, only those that no telling stem sets apart; where these still have, none.
void Scorer::rank_places(std::vector<Row>& rows, const std::vector<Candidate>& all, std::size_t group) const {
  if (rank(rows, all, group)) return;
  const auto is_told = [&](const Row& row) {
    return std::any_of(telling_.begin(), telling_.end(), [&](WordId stem) { return bears(all[row.candidate], stem); });
  };
  for (Row& row : rows)
    if (row.group == group && is_told(row)) row.group = kNoGroup;
  if (rank(rows, all, group)) return;
  for (Row& row : rows)
    if (row.group == group) row.group = kNoGroup;
}

/// False where two places are the same.
bool Scorer::rank(std::vector<Row>& rows, const std::vector<Candidate>& all, std::size_t group) const {
  std::vector<Row*> members;
  std::size_t counted = 0, by_unit = 0;
  const auto is_called_norm = [&](const Row& row) { return all[row.candidate].meaning.has_norm_word; };
  const bool says_norm = group == kNormGroup && std::any_of(rows.begin(), rows.end(), is_called_norm);
  for (Row& row : rows) {
    if (row.group != group) continue;
    if (says_norm && !is_called_norm(row))
      row.group = kNoGroup;  // of a norm's shape only: no place among norms
    else
      members.push_back(&row);
    if (row.group == group) ++(all[row.candidate].meaning.is_counted ? counted : by_unit);
  }
  if (counted > 0 && by_unit > 0 && members.size() > 2) return false;  // `norm1, norm_cross, norm2`
  const auto place = [&](const Row* row) { return all[row->candidate].meaning.place; };
  std::sort(members.begin(), members.end(), [&](const Row* a, const Row* b) { return place(a) < place(b); });
  bool are_different = true;
  for (std::size_t i = 0; i < members.size(); ++i) {
    members[i]->place_rank = i;
    if (i > 0 && place(members[i]) == place(members[i - 1])) are_different = false;
    // Beside `LayerNorm_1` a plain `LayerNorm` may be the first or the last.
    if (members.size() > 1 && !cell_.is_root && place(members[i]) == Meaning::kNoPlace) are_different = false;
  }
  return are_different;
}

void Scorer::settle_places() {
  for (const std::size_t group : {kNormGroup, kScaleGroup}) {
    const auto count = [&](const std::vector<Row>& rows) {
      return std::count_if(rows.begin(), rows.end(), [&](const Row& row) { return row.group == group; });
    };
    uses_place_[group] = count(source_) > 1 && count(source_) == count(target_);
  }
}

double Scorer::by_words(const Candidate& a, const Candidate& b) const {
  double common = 0, all = 0;
  for (const WordId word : a.stems) all += weights_[word];
  for (const WordId word : b.stems)
    (std::binary_search(a.stems.begin(), a.stems.end(), word) ? common : all) += weights_[word];
  return all > 0 ? common / all : 0;
}

double Scorer::by_tags(const Candidate& a, const Candidate& b, bool has_place_rank) const {
  const Meaning &x = a.meaning, &y = b.meaning;
  const double parts = agreement(x.parts(), y.parts());
  double score = parts > 0.9 ? 1 : parts < 0 ? -1.5 : parts > 0 ? -0.5 : 0;
  if (!has_place_rank) score += 0.5 * agreement(units_of(x), units_of(y));
  const double things = agreement(x.things(), y.things());
  score += things < 0 ? -0.8 : 0.8 * things;
  if ((x.things() == 0) != (y.things() == 0)) score -= 0.05;
  for (const Tags towers : {kVision | kText, kEncoder | kDecoder | kMiddle}) {
    const double agrees = agreement(x.tags & towers, y.tags & towers);
    score += agrees < 0 ? -0.4 : 0.15 * agrees;
  }
  if ((x.tags & kNorm) != (y.tags & kNorm)) score -= 0.2;
  constexpr Tags kAttended = kQuery | kKey | kValue;  // norms of these are not those of what comes out
  if ((x.tags & y.tags & kNorm) != 0 && ((x.parts() & kAttended) == 0) != ((y.parts() & kAttended) == 0)) score -= 0.5;
  const auto is_table = [](const Meaning& m) { return (m.tags & (kTokens | kPositions | kTypes | kClassToken)) != 0; };
  if ((x.has_norm_word && !y.has_norm_word && is_table(y)) || (y.has_norm_word && !x.has_norm_word && is_table(x)))
    score -= 0.8;
  if (x.has_norm_word && y.has_norm_word) score += 0.12;
  return score;
}

double Scorer::evidence(std::size_t i, std::size_t j) const {
  const Row &r = source_[i], &q = target_[j];
  const Candidate &a = cell_.source[r.candidate], &b = cell_.target[q.candidate];
  const bool has_place = r.group != kNoGroup && r.group == q.group && uses_place_[r.group];
  double score = by_tags(a, b, has_place);
  if (!has_place && r.group != kNoGroup && r.group == q.group) score += by_place(a.meaning.place, b.meaning.place);
  if (has_place) score += r.place_rank == q.place_rank ? 0.7 : -0.7;
  if (!has_place && !a.meaning.is_behind && !b.meaning.is_behind)
    score += 0.6 * by_words(a, b) + contrast(telling_, a, b);
  const bool count_alike = a.ends_in_number == b.ends_in_number || a.meaning.parts() == 0 || b.meaning.parts() == 0;
  if (count_alike && r.family_size > 1 && r.family_size == q.family_size)
    score += r.family_rank == q.family_rank ? 0.4 : -0.4;
  if (!a.path.empty() && !b.path.empty() && a.path.back().is_number() && a.path.back() == b.path.back()) score += 0.03;
  return score + by_companion(a, b) + 0.8 * vote(i, j);
}

/// Norms of what is not each other's are not each other's.
double Scorer::by_companion(const Candidate& a, const Candidate& b) const {
  const std::int64_t have = cell_.source_side->modules[a.module].companion;
  const std::int64_t want = cell_.target_side->modules[b.module].companion;
  if (have == 0 || want == 0) return 0;
  return have == want ? 0.1 : -0.6;
}

double Scorer::vote(std::size_t i, std::size_t j) const {
  const Candidate &a = cell_.source[source_[i].candidate], &b = cell_.target[target_[j].candidate];
  const double own = votes_.score(a.prefixes, b.prefixes);
  return own != 0 ? own : std::max(0.0, 0.6 * votes_.score(a.shared, b.shared));
}

double Scorer::score(std::size_t i, std::size_t j) const {
  const Module& a = cell_.source_side->modules[cell_.source[source_[i].candidate].module];
  const Module& b = cell_.target_side->modules[cell_.target[target_[j].candidate].module];
  const Candidate &x = cell_.source[source_[i].candidate], &y = cell_.target[target_[j].candidate];
  if (x.home != y.home && x.home != kRoot && y.home != kRoot && x.home_pattern == y.home_pattern) return kImpossible;
  if (x.home == y.home && x.home != kRoot) return kImpossible;  // their own cell has refused them
  double share = 0;
  if (!leaves_agree(a, b, share)) return kImpossible;
  const Relation relation = relation_between(cell_.source_side->shape(a.main()), cell_.target_side->shape(b.main()));
  if (relation == Relation::None) return kImpossible;
  const bool leaves_block = (x.home == kRoot) != (y.home == kRoot);
  if (leaves_block && relation == Relation::Reshaped) return kImpossible;
  const bool turns = relation == Relation::Permuted && a.main().is_kernel == b.main().is_kernel;
  const double cost = (relation == Relation::Reshaped ? 0.6
                       : turns                        ? 0.25
                       : relation == Relation::Equal  ? 0
                                                      : 0.05) +
                      (leaves_block ? 0.15 : 0);
  return 0.2 * share - cost + evidence(i, j);
}

}  // namespace tenon::match
