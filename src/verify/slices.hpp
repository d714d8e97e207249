// Slices: a tensor in pieces of bounded size, so that two of different layout can be walked side by side.
#pragma once

#include <cstddef>
#include <functional>
#include <span>

#include <tenon/tensor.hpp>

namespace tenon::verification {

/// Calls `take` with the dense bytes of the same elements of `a` and `b`, from the first to the last, in pieces of
/// about 1 MiB. The shapes are equal; dtypes may differ. Dense tensors are not copied.
void for_each_slice(const TensorView& a, const TensorView& b,
                    const std::function<void(std::span<const std::byte>, std::span<const std::byte>)>& take);

}  // namespace tenon::verification
