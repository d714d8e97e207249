// TextFacts: what an error text says, as facts. Made by read_text(), looked at by the rules.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include <tenon/diagnose.hpp>

#include "diagnose/text/symptom.hpp"

namespace tenon::diagnosis {

struct TextFacts {
  std::string target_class;  ///< `ResNet` of "loading state_dict for ResNet"
  std::vector<std::string> missing;
  std::vector<std::string> unexpected;
  std::vector<Mismatch> mismatched;
  std::vector<Sighting> sightings;
  bool is_cut = false;         ///< a list ends in "..."
  bool is_first_only = false;  ///< the program stopped at the first name that it did not find: the others are not told

  /// Adds what was seen, with the words that show it: whole characters, and no more than evidence needs. The first
  /// sighting of each symptom is kept; one that knows its detail is better than one that does not.
  void note(Symptom symptom, std::string_view detail, std::string_view words);

  bool tells_keys() const { return !missing.empty() || !unexpected.empty() || !mismatched.empty(); }
  bool tells_failure() const { return tells_keys() || !sightings.empty(); }
  const Sighting* find(Symptom symptom) const {
    for (const Sighting& sighting : sightings)
      if (sighting.symptom == symptom) return &sighting;
    return nullptr;
  }
};

/// Reads an error text with whatever surrounds it: traceback, log prefixes, colour codes, CRLF, typographic quotes, any
/// bytes. Never throws for the text's sake. O(length).
TextFacts read_text(std::string_view text);

/// The two sides as far as the text shows them.
Listing checkpoint_shown(const TextFacts& facts);
Listing target_shown(const TextFacts& facts);

}  // namespace tenon::diagnosis
