#include "match/assignment.hpp"

#include <algorithm>
#include <limits>

namespace tenon::match {
namespace {

/// The Hungarian algorithm with potentials on a square matrix of costs (1-based, after E. Lawler, "Combinatorial
/// Optimization", 1976).
std::vector<std::size_t> cheapest(std::size_t n, const std::vector<double>& cost) {
  constexpr double kInfinity = std::numeric_limits<double>::infinity();
  std::vector<double> u(n + 1, 0), v(n + 1, 0);
  std::vector<std::size_t> row_of(n + 1, 0), way(n + 1, 0);
  for (std::size_t i = 1; i <= n; ++i) {
    row_of[0] = i;
    std::size_t column = 0;
    std::vector<double> least(n + 1, kInfinity);
    std::vector<bool> used(n + 1, false);
    do {
      used[column] = true;
      const std::size_t row = row_of[column];
      double delta = kInfinity;
      std::size_t next = 0;
      for (std::size_t j = 1; j <= n; ++j) {
        if (used[j]) continue;
        const double reduced = cost[(row - 1) * n + j - 1] - u[row] - v[j];
        if (reduced < least[j]) {
          least[j] = reduced;
          way[j] = column;
        }
        if (least[j] < delta) {
          delta = least[j];
          next = j;
        }
      }
      for (std::size_t j = 0; j <= n; ++j) {
        if (used[j]) {
          u[row_of[j]] += delta;
          v[j] -= delta;
        } else {
          least[j] -= delta;
        }
      }
      column = next;
    } while (row_of[column] != 0);
    for (; column != 0; column = way[column]) row_of[column] = row_of[way[column]];
  }
  std::vector<std::size_t> column_of(n);
  for (std::size_t j = 1; j <= n; ++j) column_of[row_of[j] - 1] = j - 1;
  return column_of;
}

}  // namespace

std::vector<std::size_t> assign(const Scores& scores, double floor) {
  const std::size_t n = scores.rows + scores.columns;  // every row may stay alone, and every column
  std::vector<double> cost(n * n, 0);
  for (std::size_t i = 0; i < scores.rows; ++i)
    for (std::size_t j = 0; j < scores.columns; ++j) cost[i * n + j] = floor - scores.at(i, j);
  auto columns = cheapest(n, cost);
  std::vector<std::size_t> result(scores.rows, kUnassigned);
  for (std::size_t i = 0; i < scores.rows; ++i)
    if (columns[i] < scores.columns && scores.at(i, columns[i]) >= floor) result[i] = columns[i];
  return result;
}

double margin(const Scores& scores, const std::vector<std::size_t>& column_of, std::size_t row, double floor) {
  const std::size_t column = column_of[row];
  const double mine = scores.at(row, column);
  std::vector<std::size_t> row_of(scores.columns, kUnassigned);
  for (std::size_t i = 0; i < scores.rows; ++i)
    if (column_of[i] != kUnassigned) row_of[column_of[i]] = i;
  double least = mine - floor;
  for (std::size_t j = 0; j < scores.columns; ++j) {
    if (j == column) continue;
    const std::size_t other = row_of[j];
    if (other == kUnassigned)
      least = std::min(least, mine - scores.at(row, j));
    else
      least =
          std::min(least, mine + scores.at(other, j) - scores.at(row, j) - std::max(scores.at(other, column), floor));
  }
  for (std::size_t i = 0; i < scores.rows; ++i)
    if (column_of[i] == kUnassigned) least = std::min(least, mine - scores.at(i, column));
  return least;
}

}  // namespace tenon::match
