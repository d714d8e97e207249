// Reader of what torch.save wrote before 1.6.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>

#include "formats/core.hpp"

namespace tenon::formats {

/// True when the file begins with the pickle of PyTorch's magic number, in any protocol.
bool looks_like_torch_legacy(std::span<const std::byte> bytes);

/// Throws Error: Corrupt (with the byte), Limit.
std::shared_ptr<CheckpointCore> open_torch_legacy(const OpenRequest& request);

/// A storage that was pickled by itself: what `torch.storage._load_from_bytes` is given.
struct LegacyStorage {
  DType dtype = DType::UInt8;
  std::string location;
  std::uint64_t offset = 0;  ///< of its elements in the bytes
  std::uint64_t nbytes = 0;
};

/// Throws Error Corrupt or Limit, whatever is wrong, at `where`.
LegacyStorage read_legacy_storage(std::span<const std::byte> bytes, const Where& where, const Limits& limits);

}  // namespace tenon::formats
