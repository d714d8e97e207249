// A bare pickle: numpy's, joblib's, Python 2's, anything that pickle.dump wrote.
#pragma once

#include <cstddef>
#include <memory>
#include <span>

#include "formats/core.hpp"

namespace tenon::formats {

/// A pickle of any protocol seems to start here: an opcode that can be the first, and some that may follow it.
bool looks_like_pickle(std::span<const std::byte> bytes);

/// Lists the first pickle's object; what follows it is said. Throws Error Corrupt, Unsupported or Limit.
std::shared_ptr<CheckpointCore> open_pickle(const OpenRequest& request);

}  // namespace tenon::formats
