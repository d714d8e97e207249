// Origins: what match/ finds for the tensors whose names do not meet, in the terms of a case.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <vector>

#include "diagnose/case.hpp"
#include "match/match.hpp"

namespace tenon::diagnosis {

/// A match between the state as it was when it was made and the target.
struct Origin {
  std::vector<std::size_t> sources;  ///< indexes into the checkpoint's listing
  std::vector<TensorSpec> specs;     ///< of these, as they stood in the state: names without prefix
  match::Match match;
};

struct Origins {
  std::vector<std::optional<Origin>> of;  ///< by target tensor
};

/// Nothing where every name meets, or where only a text is known. See match() for what it costs.
std::shared_ptr<const Origins> origins_of(const Case& facts);

}  // namespace tenon::diagnosis
