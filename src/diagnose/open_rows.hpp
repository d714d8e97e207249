// OpenRows: the differences that no finding has explained yet, by name and shape.
#pragma once

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
