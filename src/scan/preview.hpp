// A pickle's values as a short text that is safe to print.
#pragma once

#include <string>

#include "container/pickle_tree.hpp"

namespace tenon::scanning {

/// Python's way to write the value, escaped, at most 80 characters.
std::string preview(const container::PickleTree& tree, container::NodeId node);

/// Any bytes, escaped, at most 80 characters.
std::string preview(std::string_view bytes);

}  // namespace tenon::scanning
