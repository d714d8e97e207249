// Pickles inside a pickle's values: bytes, text in base64 or hexadecimal.
#pragma once

#include <cstdint>
#include <functional>

#include "container/pickle_tree.hpp"
#include "scan/collector.hpp"

namespace tenon::scanning {

/// What a call may do with what it is given.
enum class Acts : std::uint8_t {
  No,         ///< makes a value of it
  Maybe,      ///< nobody knows: it may unpickle, decode or run it
  Unpickles,  ///< unpickles it, and is harmless as far as that is
};
using ActsOnArguments = std::function<Acts(container::NodeId call)>;

/// What an acting call gets is scanned as a file of its own. What merely lies there can run only when somebody
/// unpickles it on purpose: it counts as unknown_code at most.
void scan_nested_pickles(const container::PickleTree& tree, const Part& part, const ActsOnArguments& acts,
                         Collector& out);

}  // namespace tenon::scanning
