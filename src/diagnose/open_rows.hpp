// OpenRows: the differences that no finding has explained yet, by name and shape.
#pragma once

#include <optional>
#include <string_view>
#include <vector>

#include "diagnose/case.hpp"

namespace tenon::diagnosis {

/// A tensor of one side that has no counterpart.
struct OpenName {
  std::string_view name;
  std::size_t index = 0;         ///< into the target's tensors (missing) or the state's (unexpected)
  const Shape* shape = nullptr;  ///< null where it is not known
};

/// A tensor whose shapes differ.
struct OpenPair {
  std::string_view name;
  const Shape* have = nullptr;  ///< the checkpoint's
  const Shape* want = nullptr;  ///< the model's
  Pair pair;
};

struct OpenRows {
  std::vector<OpenName> missing;
  std::vector<OpenName> unexpected;
  std::vector<OpenPair> mismatched;

  std::size_t size() const { return missing.size() + unexpected.size() + mismatched.size(); }
  bool empty() const { return size() == 0; }
};

OpenRows open_rows(const Case& facts);

/// All tensors whose shapes differ, explained or not.
std::vector<OpenPair> mismatched_rows(const Case& facts);

/// What changes at the two ends of a network whose widths within are the same on both sides. A width within shows
/// twice: as rows of one layer and as columns of the next. What shows as columns only comes from outside, what shows as
/// rows only goes there; vectors (statistics of inputs, a bias) go with the weights of their extents.
struct Ends {
  std::vector<OpenPair> inputs, outputs;
};

/// Nothing unless every mismatched row is of one of the two ends, and both ends are there.
std::optional<Ends> changed_ends(const std::vector<OpenPair>& rows);

/// Marks rows as explained by a finding.
void tell_missing(const std::vector<OpenName>& rows, Finding& finding);
void tell_unexpected(const std::vector<OpenName>& rows, Finding& finding);
void tell_mismatched(const std::vector<OpenPair>& rows, Finding& finding);

/// Names of rows, for list_text().
template <class Row>
std::vector<std::string> names_of_rows(const std::vector<Row>& rows) {
  std::vector<std::string> names;
  for (const Row& row : rows) names.emplace_back(row.name);
  return names;
}

/// The rows for which `is_one` holds.
template <class Row, class Condition>
std::vector<Row> rows_where(const std::vector<Row>& rows, Condition is_one) {
  std::vector<Row> chosen;
  for (const Row& row : rows)
    if (is_one(row)) chosen.push_back(row);
  return chosen;
}

/// Up to three rows of a finding's picture.
void picture_of(const std::vector<OpenName>& missing, const std::vector<OpenName>& unexpected,
                const std::vector<OpenPair>& mismatched, Cause& cause);

}  // namespace tenon::diagnosis
