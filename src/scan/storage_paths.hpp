// The files that a distributed checkpoint's `.metadata` names: a loader opens each below its folder.
// Source: torch/distributed/checkpoint/filesystem.py, _StorageInfo.relative_path.
#pragma once

#include "container/pickle_tree.hpp"
#include "scan/collector.hpp"

namespace tenon::scanning {

/// Reports every path that leaves the folder.
void check_storage_paths(const container::PickleTree& tree, const Part& part, Collector& out);

}  // namespace tenon::scanning
