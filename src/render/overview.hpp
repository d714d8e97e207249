// Overview: the figures of a checkpoint that text and JSON both show.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include <tenon/checkpoint.hpp>

namespace tenon::rendering {

struct StateDict {
  std::string path;
  std::uint64_t tensors = 0;
};

struct Totals {
  std::uint64_t tensors = 0, parameters = 0, bytes = 0;  ///< dense bytes; sums stop at 2^64-1
};

/// Every mapping of names to tensors, in the file's order. Modules within modules are one state dict: their names are
/// joined.
std::vector<StateDict> state_dicts(const Checkpoint& checkpoint);

Totals totals(const Checkpoint& checkpoint);

/// Dense bytes of a tensor; of one whose type is unknown, the bytes that the file has for it.
std::uint64_t tensor_bytes(const Checkpoint& checkpoint, const TensorInfo& info);

/// tensor_bytes() of the first `count` tensors together; the sum stops at 2^64-1.
std::uint64_t bytes_of(const Checkpoint& checkpoint, std::size_t count);

/// How many tensors view a storage that another one views, too.
std::uint64_t sharing_tensors(const Checkpoint& checkpoint);

}  // namespace tenon::rendering
