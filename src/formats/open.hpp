// What open() does with bytes, for readers that find checkpoints inside others: shards, archive members, blobs.
#pragma once

#include <memory>

#include "formats/core.hpp"

namespace tenon::formats {

/// Tells the format by content and reads the metadata. Throws what the public open() throws.
std::shared_ptr<CheckpointCore> open_core(const OpenRequest& request);

}  // namespace tenon::formats
