// Cell: modules of both sides that can only be each other's: those of a block and its partner, or all that stand
// outside of blocks.
//
// Cells with the same names and shapes on both sides are solved once (100,000 tensors are a few dozen cells), and what
// one cell settles by shapes alone votes in the others: `downsample` against `shortcut`, found in stage 2, decides
// stage 1.
#pragma once

#include <cstdint>
#include <map>
#include <unordered_map>
#include <vector>

#include "match/lexicon.hpp"
#include "match/side.hpp"

namespace tenon::match {

/// How many blocks of a list have a module of this name: one only, or at least half of them. What a single block has
/// beside what they all have is no part of the pattern: equal shapes say little there.
enum class Presence : std::uint8_t { Some, Odd, Regular };

/// A module within a cell.
struct Candidate {
  std::uint32_t module = 0;
  std::vector<Token> path;              ///< within the block
  std::vector<std::uint64_t> prefixes;  ///< hashes of path[0..1), path[0..2), ...: the whole path last
  std::vector<std::uint64_t> shared;    ///< the same, equal for equal paths within blocks of any list
  std::uint64_t family = 0;             ///< hash of the path with its numbers left out
  std::uint64_t unit = 0;               ///< hash of the path without the words that tell parts apart: `q`, `k`, `v`
  Meaning meaning;
  std::vector<WordId> stems;  ///< of the words of the path, each once, sorted
  WordId own_word = 0;        ///< stem of the last word
  NodeId home = kRoot;        ///< the source block that it or its partner stands in, below the cell's own
  std::uint32_t home_pattern = 0;
  Presence presence = Presence::Some;
  bool ends_in_number = false;  ///< `w_1`, `fc2`: the number tells parts apart, not units
};

inline constexpr double kElsewhere = -1.2;

/// Votes for "this prefix is that prefix", over all cells.
class Votes {
 public:
  void add(const std::vector<std::uint64_t>& source, const std::vector<std::uint64_t>& target, double weight);
  /// 1 where some prefixes of both always went together; kElsewhere where either path is known to belong elsewhere.
  double score(const std::vector<std::uint64_t>& source, const std::vector<std::uint64_t>& target) const;
  bool knows_source(std::uint64_t path) const { return source_.contains(path); }
  bool knows_target(std::uint64_t path) const { return target_.contains(path); }

 private:
  std::unordered_map<std::uint64_t, double> pairs_, source_, target_;
};

enum class How : std::uint8_t { Identical, Rename, Transpose, Permute, Reshape, Split, Fuse };

/// One target tensor's origin, by position in the cell: `from` are (candidate, member).
struct Spot {
  std::uint32_t candidate = 0, member = 0;
  friend bool operator==(const Spot&, const Spot&) = default;
};

struct Link {
  std::vector<Spot> from;
  Spot to;
  How how = How::Rename;
  std::uint32_t part = 0, parts = 1;  ///< for How::Split: which of how many, as the parts are usually ordered
  double confidence = 0;
  std::vector<Spot> runner_up;  ///< the next best origin, where one was near
  bool is_table = false;        ///< a table of tokens or positions
};

struct Cell {
  const Side* source_side = nullptr;
  const Side* target_side = nullptr;
  std::vector<Candidate> source, target;
  bool is_root = false;  ///< outside of all blocks
};

struct Solution {
  std::vector<Link> links;
  std::vector<std::uint32_t> source_left, target_left;           ///< candidates without any link
  std::vector<std::pair<std::uint32_t, std::uint32_t>> settled;  ///< pairs of candidates to vote with
};

/// Words that tell much are those that few modules bear.
using WordWeights = std::vector<double>;  ///< by stem

Solution solve(const Cell& cell, const Votes& votes, const WordWeights& weights);

}  // namespace tenon::match
