// torch.distributed.checkpoint: a folder of `.distcp` files that ranks wrote, and `.metadata` that says what is where.
#pragma once

#include <memory>

#include "formats/core.hpp"

namespace tenon::formats {

/// Opens a folder by its `.metadata`, which is `request.file`; `request.path` is the folder.
///
/// Shapes and dtypes come from the metadata alone; a tensor's pieces are read and put together when it is asked for.
/// Throws Error: Corrupt (pieces that overlap or leave gaps, ranges outside their file, names that leave the folder),
/// NotFound, Limit, Unsupported (transformed pieces, types of less than a byte in several pieces).
std::shared_ptr<CheckpointCore> open_torch_dcp(const OpenRequest& request);

}  // namespace tenon::formats
