// A checkpoint in several files and an index: `model.safetensors.index.json`, `pytorch_model.bin.index.json`.
#pragma once

#include <memory>
#include <string_view>

#include "formats/core.hpp"

namespace tenon::formats {

/// True for the text of an index: a JSON object with a member "weight_map".
bool looks_like_shard_index(std::string_view head);

/// Opens the index `request.file` and every shard that it names beside it, as one checkpoint.
///
/// Shards are single names in the index's folder, opened without following links. Throws Error: Corrupt (a name that
/// leaves the folder, a tensor that is in no shard, in another or in two), NotFound (a shard is missing; with
/// Salvage::Yes it is said and the rest is there), and what a shard's own reader throws.
std::shared_ptr<CheckpointCore> open_sharded(const OpenRequest& request);

}  // namespace tenon::formats
