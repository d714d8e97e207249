// NumPy's .npy: a header that is a Python literal, read by a parser of its own, and objects that are a pickle.
#pragma once

#include <cstdint>
#include <span>

#include "scan/collector.hpp"

namespace tenon::scanning {

bool looks_like_npy(std::span<const std::byte> bytes);

void scan_npy(const Part& part, Collector& out);

/// Of an array of numbers whose bytes need not be there: checks the header against the array's whole length. False when
/// its elements are objects or bytes follow them, so that the rest must be seen.
bool scan_npy_header(const Part& head, std::uint64_t whole_bytes, Collector& out);

}  // namespace tenon::scanning
