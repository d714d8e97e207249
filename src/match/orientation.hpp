// Orientation: whether a square matrix is transposed. Its shape cannot tell; the matrices of the same kind that are not
// square can.
#pragma once

#include <vector>

#include "match/match.hpp"

namespace tenon::match {

struct Oriented {
  Match match;
  bool is_in_block = false;
  bool is_table = false;                           ///< rows of tokens or positions: never transposed with the layers
  std::uint32_t source_leaf = 0, target_leaf = 0;  ///< equal for leaves of one name and layout
};

/// Sets `how` of square matrices to what their siblings show; where these disagree or there are none and the leaves are
/// called differently, lowers the confidence below what is applied. So it does for matrices that would have to be turned
/// while others of their leaf are not: rather is another the partner.
void settle_orientation(const Listing& source, const Listing& target, std::vector<Oriented>& rows);

/// The same for square matrices that bear one name on both sides: within blocks (a number in the name), where all
/// matrices of that leaf which are not square were turned, they are turned, too.
void orient_identical(const Listing& source, const Listing& target, std::vector<Match>& matches);

}  // namespace tenon::match
