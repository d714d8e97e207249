// Keras configurations: JSON that names the classes and functions which loading makes and calls.
#pragma once

#include "scan/collector.hpp"
#include "scan/json_tree.hpp"

namespace tenon::scanning {

/// True when the document, at any depth, describes objects by `class_name`.
bool is_keras_config(const JsonValue& value);

/// Judges every class and function that the configuration names. `at` is where the JSON stands in the part.
void scan_keras_config(const JsonTree& tree, const Part& part, std::uint64_t at, Collector& out);

}  // namespace tenon::scanning
