// PyTorch's tar container of the time before 0.1.10.
#pragma once

#include <cstddef>
#include <memory>
#include <span>

#include "formats/core.hpp"

namespace tenon::formats {

/// A tar archive with a member `storages`. Never throws.
bool looks_like_torch_tar(std::span<const std::byte> bytes);

/// Throws Error Corrupt, Unsupported or Limit.
std::shared_ptr<CheckpointCore> open_torch_tar(const OpenRequest& request);

}  // namespace tenon::formats
