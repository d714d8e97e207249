// safetensors: reader and writer. The bytes are drawn in safetensors.cpp.
#pragma once

#include <cstddef>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "formats/core.hpp"
#include "formats/writer.hpp"

namespace tenon::formats {

/// Throws Error: Corrupt (with the byte, and the key where one is known), Limit (header length, rank, depth).
std::shared_ptr<CheckpointCore> open_safetensors(const OpenRequest& request);

using Metadata = std::vector<std::pair<std::string, std::string>>;

/// Checks bytes in memory as open_safetensors() checks a file, and returns their `__metadata__`. Throws what that
/// throws.
Metadata check_safetensors(std::span<const std::byte> bytes, const std::string& path, const Limits& limits);

/// Throws Error Refused: dtypes or objects that the format cannot hold, two tensors under one name.
Layout lay_out_safetensors(const WriteRequest& request);

}  // namespace tenon::formats
