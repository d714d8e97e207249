// Zip archives: PyTorch's, NumPy's, Keras's and any other. Every record is looked into, listed or not.
#pragma once

#include <string_view>

#include "scan/collector.hpp"

namespace tenon::scanning {

void scan_zip(const Part& part, Collector& out);

/// Why unpacking an entry of that name is not safe: it leaves its folder, or systems read it differently. Empty: it is
/// a plain relative path.
std::string_view escaping_name(std::string_view name);

/// True for TorchScript source text that does more than declare the attributes of classes.
bool defines_functions(std::string_view source);

}  // namespace tenon::scanning
