// match: for every tensor that a model wants, the tensor or tensors of a checkpoint that it comes from, whatever the
// names.
//
// Identical names first. Then modules (all tensors under one name), laid on blocks that repeat, compared by shapes, the
// field's words, numbers and what other blocks settled; fused tensors before single ones; each source used once. A
// wrong pair would load silently, so a pair that another could replace is offered, not applied.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

#include <tenon/listing.hpp>

#include "match/cell.hpp"

namespace tenon::match {

/// The origin of one target tensor. Tensors are indexes into the listings.
struct Match {
  std::size_t to = 0;
  std::vector<std::size_t> from;  ///< several for Fuse, in the order of concatenation
  How how = How::Identical;
  std::uint32_t part = 0, parts = 1;  ///< for Split: part k of n
  double confidence = 1;
  bool apply = true;                   ///< nearly certain
  std::vector<std::size_t> runner_up;  ///< what else it could be, where that was near
};

struct Matching {
  std::vector<Match> matches;  ///< in the target's order; at most one for each tensor
};

/// Tensors without a known shape take part by identical names only. The result does not depend on the order of either
/// listing. O(n log n) for n tensors in repeated blocks.
Matching match(const Listing& source, const Listing& target);

/// `identical`, `rename`, `transpose`, `permute`, `reshape`, `split`, `fuse`.
std::string_view how_name(How how);

}  // namespace tenon::match
