// Alignment of two sequences of blocks: which of one are which of the other, in order, gaps allowed.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <utility>
#include <vector>

namespace tenon::match {

/// A block as the alignment sees it: where it stands among its siblings.
struct Place {
  std::size_t parent = 0;   ///< counts the parents from 0
  std::int64_t number = 0;  ///< as written
};

struct Alignment {
  std::vector<std::pair<std::size_t, std::size_t>> pairs;  ///< increasing in both
  bool is_sure = false;
  std::vector<std::size_t> likes_a, likes_b;  ///< positions that are like something on the other side
};

using Likeness = std::function<double(std::size_t, std::size_t)>;  ///< 0..1

/// Blocks less alike than this are not partners.
inline constexpr double kLeastLikeness = 0.5;

Alignment align(const std::vector<Place>& a, const std::vector<Place>& b, const Likeness& likeness);

}  // namespace tenon::match
