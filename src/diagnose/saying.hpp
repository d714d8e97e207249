// Says a finding in one go: what most rules need.
#pragma once

#include <string>
#include <vector>

#include "diagnose/open_rows.hpp"

namespace tenon::diagnosis {

struct Saying {
  double confidence = 0;
  std::string summary;
  std::string why;
  std::vector<std::string> evidence;
  std::vector<std::string> help;
};

/// A finding with its words and place; rows are told apart, see tell_missing() and its kin.
Finding say(const Case& facts, Saying words);

/// Share of a count in a whole, 0..1; 0 when there is no whole.
double share_of(std::size_t part, std::size_t whole);

/// "12 of 14 missing keys"
std::string part_text(std::size_t part, std::size_t whole, std::string_view what);

/// Globs that name these rows and no other tensor of either side.
std::vector<std::string> globs_of(const Case& facts, const std::vector<OpenName>& rows);

/// The operations, if they are few enough for a plan that a person reads; none otherwise.
std::vector<Op> readable(std::vector<Op> ops);

/// Operations that leave unexpected rows out, and take missing rows from the model.
std::vector<Op> drop_rows(const Case& facts, const std::vector<OpenName>& rows, Applicability applicability);
std::vector<Op> keep_rows(const Case& facts, const std::vector<OpenName>& rows, Applicability applicability);

}  // namespace tenon::diagnosis
