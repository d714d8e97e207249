// TorchSharp's own format (`Module.save`, `Tensor.Save`, optimizers' `save_state_dict`), usually called `.dat`.
#pragma once

#include <cstddef>
#include <memory>
#include <span>

#include "formats/core.hpp"

namespace tenon::formats {

/// The format has no mark: true where the first entries make sense, or all of a short file. Never throws.
bool looks_like_torchsharp(std::span<const std::byte> bytes);

/// Throws Error Corrupt, Unsupported or Limit.
std::shared_ptr<CheckpointCore> open_torchsharp(const OpenRequest& request);

}  // namespace tenon::formats
