// The pickle machine: reads one pickle of protocol 0 to 5 and builds a PickleTree. It has no way to import or call
// anything.
//
// Source: CPython's Lib/pickletools.py (opcode descriptions) and PEP 307, 3154, 574.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include <tenon/error.hpp>
#include <tenon/limits.hpp>

#include "container/pickle_tree.hpp"

namespace tenon::container {

/// Bytes that begin with a pickle, and what to call them in messages. More may follow the pickle's STOP.
struct PickleSource {
  std::span<const std::byte> bytes;  ///< must outlive the tree
  std::string file;
  std::string member;
  std::uint64_t origin = 0;  ///< offset of `bytes` within the member or file
};

/// Called after each BUILD with the object it gave a state to and the byte behind the opcode. Returns how many bytes
/// that follow are not opcodes: joblib lets the elements of an array stand there, raw.
using BuildObserver = std::function<std::uint64_t(const PickleTree& tree, NodeId built, std::uint64_t position)>;

/// Reads up to STOP. O(bytes) time and memory.
/// Throws Error with the opcode's place and name: Corrupt, Limit, Unsupported (out-of-band buffers, protocol 6).
PickleTree read_pickle(const PickleSource& source, const Limits& limits, const BuildObserver& built = {});

/// What was read of a stream that may be forged or cut: never throws for what the bytes say.
struct PickleAttempt {
  PickleTree tree;                ///< of everything up to the end or the error; no root unless complete()
  std::optional<Error> error;     ///< why nothing could be read behind `end_bytes`
  std::vector<Error> complaints;  ///< what an unpickler would refuse or read otherwise, and was passed over here
  std::uint64_t end_bytes = 0;    ///< of the last opcode that was read whole
  std::uint64_t opcodes = 0;

  bool complete() const { return !error; }
};

/// Reads as far as it goes, more lenient than read_pickle(): a look-up by computed names becomes a Global without
/// module and name, and what CPython's unpickler accepts in numbers and targets is accepted. For looking at, not for
/// loading. O(bytes) time and memory.
PickleAttempt attempt_pickle(const PickleSource& source, const Limits& limits, const BuildObserver& built = {});

}  // namespace tenon::container
