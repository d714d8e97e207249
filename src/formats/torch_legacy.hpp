// Reader of what torch.save wrote before 1.6.
#pragma once

#include <memory>

#include "formats/core.hpp"

namespace tenon::formats {

/// True when the file begins with the pickle of PyTorch's magic number, in any protocol.
bool looks_like_torch_legacy(std::span<const std::byte> bytes);

/// Throws Error: Corrupt (with the byte), Limit.
std::shared_ptr<CheckpointCore> open_torch_legacy(const OpenRequest& request);

}  // namespace tenon::formats
