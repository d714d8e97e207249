// Gap: what still lies between the checkpoint, as the operations so far have left it, and the target.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

#include <tenon/diagnose.hpp>
#include <tenon/listing.hpp>

#include "plan/state.hpp"

namespace tenon::diagnosis {

/// Two tensors of one name: indexes into the target's tensors and into the state's.
struct Pair {
  std::size_t target = 0;
  std::size_t state = 0;
};

struct Gap {
  std::vector<Pair> matched;            ///< name and shape agree; in the target's order
  std::vector<Pair> mismatched;         ///< name agrees, shape does not
  std::vector<std::size_t> missing;     ///< into the target's tensors
  std::vector<std::size_t> unexpected;  ///< into the state's tensors
  std::vector<std::size_t> kept;        ///< into the target's tensors: a KeepTarget covers them

  std::size_t size() const { return mismatched.size() + missing.size() + unexpected.size(); }
  Balance balance() const { return {missing.size(), unexpected.size(), mismatched.size()}; }
};

/// O(tensors). A shape that is not known (from an error text) agrees with every shape.
Gap gap_between(const plan::State& state, const Listing& target);

/// True where both shapes are known and differ.
bool shapes_differ(const TensorSpec& a, const TensorSpec& b);

}  // namespace tenon::diagnosis
