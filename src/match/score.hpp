// Score: how well two modules of a cell suit each other, by shapes, words, numbers, places and votes.
#pragma once

#include <cstdint>
#include <vector>

#include "match/cell.hpp"

namespace tenon::match {

/// Below this a pair is impossible: shapes or leaves do not agree.
inline constexpr double kImpossible = -100;

/// Scores pairs within one class: the candidates of a cell whose main tensors have equally many elements.
class Scorer {
 public:
  /// `source` and `target` index the cell's candidates; they are in natural order.
  Scorer(const Cell& cell, std::vector<std::uint32_t> source, std::vector<std::uint32_t> target, const Votes& votes,
         const WordWeights& weights);

  /// By positions in the two lists. kImpossible, or about -3 .. 4.
  double score(std::size_t i, std::size_t j) const;
  /// The part of the score that names, places and votes make: 0 where only the shapes speak.
  double evidence(std::size_t i, std::size_t j) const;
  /// What other cells say.
  double vote(std::size_t i, std::size_t j) const;

 private:
  struct Row {
    std::uint32_t candidate = 0;
    std::uint64_t family = 0;
    std::size_t family_size = 1, family_rank = 0;
    std::size_t group = 0, place_rank = 0;  ///< among those that are told apart by their place
  };
  std::vector<Row> rows_of(const std::vector<Candidate>& all, const std::vector<std::uint32_t>& which) const;
  void rank_places(std::vector<Row>& rows, const std::vector<Candidate>& all, std::size_t group) const;
  bool rank(std::vector<Row>& rows, const std::vector<Candidate>& all, std::size_t group) const;
  void settle_places();
  double by_tags(const Candidate& a, const Candidate& b, bool has_place_rank) const;
  double by_companion(const Candidate& a, const Candidate& b) const;
  double by_words(const Candidate& a, const Candidate& b) const;

  const Cell& cell_;
  const Votes& votes_;
  const WordWeights& weights_;
  std::vector<WordId> telling_;  ///< see telling_stems
  std::vector<Row> source_, target_;
  bool uses_place_[3] = {false, false, false};
};

/// Stems that tell candidates apart on both sides: some bear them, as many here as there, and not all.
std::vector<WordId> telling_stems(const std::vector<const Candidate*>& source,
                                  const std::vector<const Candidate*>& target);

/// Above 0 where both or neither bear the telling stems, below where one does; at most kMostContrast.
double contrast(const std::vector<WordId>& telling, const Candidate& a, const Candidate& b);
inline constexpr double kMostContrast = 0.4;

/// Whether leaves of both modules agree in number of elements wherever both have them; their share in common in
/// `share`.
bool leaves_agree(const Module& a, const Module& b, double& share);

}  // namespace tenon::match
