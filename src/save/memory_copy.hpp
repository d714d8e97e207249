// A snapshot whose bytes are copied, so that the model may go on changing while they are written.
#pragma once

#include <tenon/snapshot.hpp>

#include "io/arena.hpp"

namespace tenon::saving {

/// The same snapshot over a copy of its bytes in `arena`, which must outlive it and is overwritten. Tensors that share
/// a storage share the copy of it; every other one is copied dense. One tensor at a time is loaded. Throws what loading
/// throws, and std::bad_alloc.
Snapshot copied_into(io::Arena& arena, const Snapshot& snapshot);

}  // namespace tenon::saving
