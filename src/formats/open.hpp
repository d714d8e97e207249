// What open() does with bytes, for readers that find checkpoints inside others: shards, archive members, blobs.
#pragma once

#include <memory>

#include "formats/core.hpp"

namespace tenon::formats {

/// Tells the format by content and reads the metadata. Throws what the public open() throws.
std::shared_ptr<CheckpointCore> open_core(const OpenRequest& request);

/// Reads all bytes; tensors whose storage is not as it was saved are taken out, and a warning names them.
void leave_out_damaged(CheckpointCore& core);

}  // namespace tenon::formats
