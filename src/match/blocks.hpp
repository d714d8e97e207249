// Blocks: repeated modules under a number (`layers.0`, `layer2.1`, `conv3_block1`), and which of one side are which of
// the other.
//
// A list is all blocks whose paths differ in numbers only. Two lists are laid side by side in natural order; blocks are
// partners where what they hold has the same sizes. How deep the numbers nest on either side does not matter.
#pragma once

#include <optional>
#include <vector>

#include "match/side.hpp"

namespace tenon::match {

struct BlockPartners {
  static constexpr NodeId kNone = static_cast<NodeId>(-1);
  std::vector<NodeId> of_source, of_target;    ///< by node; kNone where there is none
  std::vector<bool> is_sure;                   ///< by source node: counts or numbers leave no other way
  std::vector<bool> source_left, target_left;  ///< by node: a block like its partnered siblings, without a partner
};

/// O(n log n) for lists of equal length; quadratic in the length of lists that differ, up to a limit.
BlockPartners partners_of(const Side& source, const Side& target, const Words& words);

}  // namespace tenon::match
