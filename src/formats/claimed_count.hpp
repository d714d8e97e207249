// A count that a stream of things begins with: a claim, held against the limit and the bytes that are left.
#pragma once

#include <cstdint>
#include <string_view>

#include <tenon/limits.hpp>

#include "base/cursor.hpp"

namespace tenon::formats {

/// Passes `found`, read at `at`, through. `things` take `least_bytes` each. Throws Error: Limit (tabled_tensors),
/// Corrupt (more than the rest of the file can hold).
std::uint64_t claimed_count(const base::Cursor& in, std::uint64_t at, std::uint64_t found, std::string_view things,
                            std::uint64_t least_bytes, const Limits& limits, std::string_view next);

}  // namespace tenon::formats
