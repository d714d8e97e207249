// GGUF, versions 1 to 3: what llama.cpp and its kin read.
#pragma once

#include <cstddef>
#include <memory>
#include <span>

#include "formats/core.hpp"

namespace tenon::formats {

bool looks_like_gguf(std::span<const std::byte> bytes);

/// Throws Error Corrupt, Unsupported (another version, a removed type) or Limit, with the byte and the key.
std::shared_ptr<CheckpointCore> open_gguf(const OpenRequest& request);

}  // namespace tenon::formats
