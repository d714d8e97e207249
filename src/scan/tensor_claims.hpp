// Persistent ids and tensors of a pickle against each other: form, sizes, bounds. No tensor byte is read.
#pragma once

#include "container/pickle_tree.hpp"
#include "scan/collector.hpp"
#include "scan/pickle_scan.hpp"

namespace tenon::scanning {

void check_tensor_claims(const container::PickleTree& tree, const Part& part, const PickleSetting& setting,
                         Collector& out);

}  // namespace tenon::scanning
