// Sink: where a writer's bytes go, piece by piece.
#pragma once

#include <cstddef>
#include <functional>
#include <span>

namespace tenon::base {

using Sink = std::function<void(std::span<const std::byte>)>;

}  // namespace tenon::base
