// Pickles inside a pickle's values: bytes, text in base64 or hexadecimal.
#pragma once

#include <functional>

#include "container/pickle_tree.hpp"
#include "scan/collector.hpp"

namespace tenon::scanning {

/// True for a call that may unpickle, decode or run what it is given.
using ActsOnArguments = std::function<bool(container::NodeId call)>;

/// What an acting call gets is scanned as a file of its own. What merely lies there can run only when somebody
/// unpickles it on purpose: it counts as unknown_code at most.
void scan_nested_pickles(const container::PickleTree& tree, const Part& part, const ActsOnArguments& acts, Collector& out);

}  // namespace tenon::scanning
