// Counts NaN and infinities by their bits, without converting a value.
#pragma once

#include <cstdint>

#include <tenon/tensor.hpp>

namespace tenon::verification {

struct NonFinite {
  std::uint64_t nan = 0;
  std::uint64_t infinite = 0;
};

/// Zero for integer and quantised types. One pass in blocks; a complex value counts once for each half.
NonFinite count_non_finite(const TensorView& view);

}  // namespace tenon::verification
