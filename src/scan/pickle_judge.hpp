// What a pickle's tree does when it is loaded: its classes and functions, how they are called, its persistent ids and
// tensors, and the pickles inside its bytes.
#pragma once

#include "container/pickle_tree.hpp"
#include "scan/collector.hpp"
#include "scan/pickle_scan.hpp"

namespace tenon::scanning {

/// Judges all that the tree holds, reachable or not: what was popped again has been called all the same.
void judge_pickle(const container::PickleTree& tree, const Part& part, const PickleSetting& setting, Collector& out);

}  // namespace tenon::scanning
