// Identical names: what bears one name and shape on both sides is one tensor, unless its number in a row tells nothing.
#pragma once

#include <cstddef>
#include <vector>

#include "match/match.hpp"

namespace tenon::match {

/// Which tensors bear one name and shape on both sides, and which are left to be matched.
struct Named {
  std::vector<Match> identical;
  std::vector<std::size_t> source_left, target_left;
  std::vector<Match> reopened;  ///< of identical names, but among those left: their row was numbered anew
};

Named identical_names(const Listing& source, const Listing& target);

/// After the others were matched: reopened pairs become Identical again where the matching came to the same, and where
/// it has nothing for either side, a guess.
void take_back(const std::vector<Match>& reopened, const Listing& source, const Listing& target,
               std::vector<Match>& matches);

}  // namespace tenon::match
