// Progress: how far a long work is, told to whoever wants to know.
#pragma once

#include <cstdint>
#include <functional>

namespace tenon {

/// Called now and then by the working thread with the bytes done and all bytes to do. What it throws ends the work,
/// which leaves nothing behind, and comes out of the call that was given it. Empty: nobody is told.
using Progress = std::function<void(std::uint64_t done_bytes, std::uint64_t all_bytes)>;

}  // namespace tenon
