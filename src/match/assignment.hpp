// Assignment: the pairs of rows and columns whose scores sum up highest, each used once.
#pragma once

#include <cstddef>
#include <vector>

namespace tenon::match {

/// A matrix of scores, row by row.
struct Scores {
  std::size_t rows = 0, columns = 0;
  std::vector<double> values;

  double at(std::size_t row, std::size_t column) const { return values[row * columns + column]; }
};

inline constexpr std::size_t kUnassigned = static_cast<std::size_t>(-1);

/// For each row its column, or kUnassigned where leaving it alone is better (scores below `floor`). O(n^3).
std::vector<std::size_t> assign(const Scores& scores, double floor);

/// By how much the sum falls at least when this pair is given up: for another free partner, for none, or for an
/// exchange with another pair. Negative where something else would do better.
double margin(const Scores& scores, const std::vector<std::size_t>& column_of, std::size_t row, double floor);

}  // namespace tenon::match
