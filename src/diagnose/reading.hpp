// Readings: what a cause makes of a message. A cause that is known by messages has a table of these.
#pragma once

#include <span>
#include <string_view>

#include "diagnose/case.hpp"

namespace tenon::diagnosis {

struct Reading {
  Symptom symptom;
  double confidence;         ///< of this cause, when the symptom is all there is
  std::string_view summary;  ///< `%` stands for the detail
  std::string_view why;
  std::string_view help;
};

/// The finding of the surest reading whose symptom the text shows; other sightings of the table are further evidence,
/// and each makes it a little surer. Nothing where no symptom of the table was seen, or no text is given.
std::optional<Finding> read_sightings(const Case& facts, std::span<const Reading> readings);

/// How much sure evidence counts when several pieces point the same way: 1 - product of doubts, at most 0.98.
double together(double a, double b);

}  // namespace tenon::diagnosis
