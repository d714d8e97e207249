// The walk from a pickle's tree to the rows of a checkpoint: containers, tensors, and the objects beside them.
#pragma once

#include <optional>
#include <string>

#include <tenon/checkpoint.hpp>

#include "formats/core.hpp"
#include "formats/pickle_graph.hpp"
#include "formats/tensor_rebuild.hpp"

namespace tenon::formats {

struct WalkRequest {
  const PickleGraph& graph;
  const PickleOrigin& origin;
  const StorageFinder& find_storage;
  bool big_endian = false;
  /// The value stands below container 0, which the caller made, under this key; without one it is the top itself.
  std::optional<std::string> key = {};
};

/// Fills in `core`'s containers, tensors, objects, and warnings.
///
/// A reference that several paths share is listed at each of them; what refers to an enclosing value is not entered
/// again. Throws Error: Corrupt (a tensor contradicts itself or its storage; with Salvage::Yes it is left out and
/// said), Limit (depth, number of paths).
void walk_objects(const WalkRequest& request, CheckpointCore& core);

}  // namespace tenon::formats
