// safetensors: reader and writer. The bytes are drawn in safetensors.cpp.
#pragma once

#include <memory>

#include "formats/core.hpp"
#include "formats/writer.hpp"

namespace tenon::formats {

/// Throws Error: Corrupt (with the byte, and the key where one is known), Limit (header length, rank, depth).
std::shared_ptr<CheckpointCore> open_safetensors(const OpenRequest& request);

/// Throws Error Refused: dtypes or objects that the format cannot hold, two tensors under one name.
Layout lay_out_safetensors(const WriteRequest& request);

}  // namespace tenon::formats
