// What a part is, told by its content alone, and handed to the scan of that format.
#pragma once

#include <cstdint>

#include "scan/collector.hpp"

namespace tenon::scanning {

/// Where the bytes stand decides what it means that nothing is known about them.
enum class Place : std::uint8_t {
  File,      ///< the file itself: what cannot be told is not safe
  Member,    ///< an archive's entry: bytes of no known format are inert
  Argument,  ///< what a function is called with: like a member
};

void scan_content(const Part& part, Place place, Collector& out);

}  // namespace tenon::scanning
