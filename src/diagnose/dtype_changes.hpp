// Dtype changes: for tensors that fit by name and shape, what a cast to the model's dtype would do.
#pragma once

#include <vector>

#include "diagnose/case.hpp"

namespace tenon::diagnosis {

struct DTypeFact {
  DTypeChange change;
  bool survives =
      false;  ///< every value comes back from the cast: measured, or because the new type holds all of the old
};

/// In the target's order. Reads values (where they are at hand) of these tensors only.
std::vector<DTypeFact> dtype_changes(const Case& facts);

/// True when every value of `from` is a value of `to`, NaN and infinities included.
bool holds_all(DType to, DType from);

}  // namespace tenon::diagnosis
