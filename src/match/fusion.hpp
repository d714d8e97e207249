// Fusion: one tensor of a side that is several of the other: q, k and v in one; gate and up; found by what names say of
// the parts and proved by arithmetic on the shapes, weights and biases alike.
#pragma once

#include <vector>

#include "match/cell.hpp"

namespace tenon::match {

enum class Direction : std::uint8_t { Split, Fuse };  ///< of the source into the target's parts; of its parts into one

struct Fusion {
  Direction direction = Direction::Split;
  std::uint32_t whole = 0;           ///< candidate of the side that has one
  std::vector<std::uint32_t> parts;  ///< candidates of the other, in the usual order: q, k, v; gate, up
};

/// Every candidate is in one fusion at most. What could be cut in two ways is left out.
std::vector<Fusion> fusions_of(const Cell& cell, const Votes& votes);

}  // namespace tenon::match
