// parallel_for: the only place where the library uses threads of its own; they have ended when the call returns.
#pragma once

#include <cstddef>
#include <functional>

namespace tenon::base {

/// Calls `task(0)` .. `task(count - 1)`, each once, on up to two threads (the caller's is one of them), in any order. Each
/// task writes a slot of its own, so that results do not depend on the order.
/// When tasks throw, the others still run, and the exception of the lowest index is thrown on.
void parallel_for(std::size_t count, const std::function<void(std::size_t)>& task);

}  // namespace tenon::base
