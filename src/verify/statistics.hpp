// Statistics of one tensor's values, in one pass of blocks, in float64.
#pragma once

#include <cstdint>
#include <optional>

#include <tenon/tensor.hpp>

namespace tenon::verification {

/// Over the finite values; nothing to say where there are none.
struct Statistics {
  std::optional<double> min, max, mean, deviation;  ///< population standard deviation
  std::uint64_t zeros = 0, nan = 0, infinite = 0;
};

/// Nothing for types that have no real numbers (complex, quantised, bits, text).
std::optional<Statistics> statistics(const TensorView& view);

}  // namespace tenon::verification
