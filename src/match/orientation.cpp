#include "match/orientation.hpp"

#include <algorithm>
#include <map>
#include <tuple>

#include "match/shapes.hpp"

namespace tenon::match {
namespace {

constexpr double kAmbiguous = 0.8;
constexpr double kTurnedWithSiblings = 0.97;

struct Tally {
  std::size_t equal = 0, transposed = 0;
};
using Key = std::tuple<bool, std::uint32_t, std::uint32_t>;

/// Siblings from near to far: of the same leaves within blocks (or outside), of the same leaves anywhere, of any leaves
/// within blocks.
enum Reach { Near, SameLeaves, SameSide };
Key key_of(const Oriented& row, int reach) {
  if (reach == SameSide) return {row.is_in_block, ~0U, ~0U};
  return {reach == Near && row.is_in_block, row.source_leaf, row.target_leaf};
}

bool is_single(const Oriented& row) {
  return row.match.from.size() == 1 && (row.match.how == How::Rename || row.match.how == How::Transpose);
}

bool is_square(const Shape& shape) { return shape.size() == 2 && shape[0] == shape[1]; }

/// True for transposed, false for not; nothing where the siblings disagree or there are none.
struct Verdict {
  bool is_known = false, is_transposed = false;
};
Verdict verdict(const std::map<Key, Tally>& tallies, const Key& key) {
  const auto found = tallies.find(key);
  if (found == tallies.end()) return {};
  const Tally& tally = found->second;
  if (tally.equal > 0 && tally.transposed > 0) return {};
  return {tally.equal + tally.transposed > 0, tally.transposed > 0};
}

}  // namespace

void settle_orientation(const Listing& source, const Listing& target, std::vector<Oriented>& rows) {
  std::map<Key, Tally> tallies[3];
  for (const Oriented& row : rows) {
    if (!is_single(row) || row.is_table) continue;
    const Shape &have = *source.tensors[row.match.from[0]].shape, &want = *target.tensors[row.match.to].shape;
    if (have.size() != 2 || want.size() != 2 || is_square(want)) continue;
    for (int reach = Near; reach <= SameSide; ++reach)
      ++(tallies[reach][key_of(row, reach)].*(have == want ? &Tally::equal : &Tally::transposed));
  }
  for (Oriented& row : rows) {
    const Tally& near = tallies[Near][key_of(row, Near)];
    const bool is_alone = row.match.how == How::Transpose && !row.is_table && near.transposed > 0 && near.equal > 0;
    if (is_alone && row.source_leaf == row.target_leaf)
      row.match.confidence = std::min(row.match.confidence, kAmbiguous);
    if (!is_single(row) || row.is_table || !is_square(*target.tensors[row.match.to].shape)) continue;
    Verdict told;
    for (int reach = Near; reach <= SameSide && !told.is_known; ++reach)
      told = verdict(tallies[reach], key_of(row, reach));
    if (told.is_known && told.is_transposed) row.match.how = How::Transpose;
    if (!told.is_known && row.source_leaf != row.target_leaf)
      row.match.confidence = std::min(row.match.confidence, kAmbiguous);
  }
}

void orient_identical(const Listing& source, const Listing& target, std::vector<Match>& matches) {
  const auto in_block = [&](const Match& match) {
    const auto& shape = target.tensors[match.to].shape;
    return match.from.size() == 1 && shape && shape->size() == 2 && source.tensors[match.from[0]].shape &&
           target.tensors[match.to].name.find_first_of("0123456789") != std::string::npos;
  };
  const auto leaf = [&](const Match& match) {
    const std::string_view name = target.tensors[match.to].name;
    return name.substr(name.rfind('.') + 1);
  };
  std::map<std::string_view, Tally> tallies;
  for (const Match& match : matches) {
    if (!in_block(match) || is_square(*target.tensors[match.to].shape)) continue;
    if (match.how == How::Transpose) ++tallies[leaf(match)].transposed;
    if (match.how == How::Identical || match.how == How::Rename) ++tallies[leaf(match)].equal;
  }
  for (Match& match : matches) {
    if (match.how != How::Identical || !in_block(match) || !is_square(*target.tensors[match.to].shape)) continue;
    const Tally& tally = tallies[leaf(match)];
    if (tally.transposed == 0 || tally.equal > 0) continue;
    match.how = How::Transpose;
    match.confidence = std::min(match.confidence, kTurnedWithSiblings);
  }
}

}  // namespace tenon::match
