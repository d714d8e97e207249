// A folder as a checkpoint: torch.distributed.checkpoint, shards with an index, or the one file of weights in it.
#pragma once

#include <memory>
#include <string>

#include "formats/core.hpp"

namespace tenon::formats {

/// Opens what stands in `folder`; the checkpoint's name stays the folder's.
///
///   `.metadata`                                   -> torch.distributed.checkpoint
///   a library's own name (`model.safetensors`)    -> that file
///   `*.safetensors.index.json`, `*.bin.index.json` -> its shards, safetensors first
///   one checkpoint file                           -> that file
///
/// Throws Error: Corrupt (`.distcp` files without `.metadata`: an unfinished save), Unsupported (nothing, or a choice
/// that is the user's: all are named), and what the reader throws.
std::shared_ptr<CheckpointCore> open_folder(const std::string& folder, const OpenOptions& options);

}  // namespace tenon::formats
