// joblib's arrays: their raw elements stand in the pickle's stream, right behind the BUILD that describes them.
#pragma once

#include <cstdint>

#include "container/pickle_tree.hpp"
#include "scan/collector.hpp"

namespace tenon::scanning {

/// How many bytes of `rest` belong to the array whose wrapper was just built: 0 when `built` is no such wrapper.
/// Objects are a pickle of their own: scanned here.
std::uint64_t joblib_array_bytes(const container::PickleTree& tree, container::NodeId built, const Part& rest,
                                 Collector& out);

}  // namespace tenon::scanning
