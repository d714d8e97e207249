// Several checkpoints as one: shards side by side, or a value that was saved as a checkpoint of its own.
#pragma once

#include <string>

#include "formats/core.hpp"

namespace tenon::formats {

/// Moves what `part` holds into `into`: files, storages, tensors, containers, objects, warnings.
///
/// With an empty `prefix` the two top objects become one. Else the part's top object stands under that key of `into`'s.
/// Names are not compared: that is the caller's matter.
void merge(CheckpointCore& into, CheckpointCore&& part, const std::string& prefix = {});

}  // namespace tenon::formats
