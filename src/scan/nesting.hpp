// How deep a pickle's values stand within each other.
#pragma once

#include <cstdint>

#include "container/pickle_tree.hpp"

namespace tenon::scanning {

/// A value that stands deeper than `depth` containers and calls below the root; kNoNode when there is none. Shared
/// values are looked at once, at the place where they are met first. O(nodes), without recursion.
container::NodeId nested_deeper_than(const container::PickleTree& tree, std::uint64_t depth);

}  // namespace tenon::scanning
