// Square roots of numbers that come from files and texts.
#pragma once

#include <cmath>
#include <cstdint>
#include <optional>

namespace tenon::base {

/// The number whose square is `square`; nothing where there is none.
[[nodiscard]] inline std::optional<std::int64_t> whole_root(std::int64_t square) {
  if (square < 0) return std::nullopt;
  const auto root = static_cast<std::int64_t>(std::llround(std::sqrt(static_cast<double>(square))));
  std::int64_t product = 0;
  if (__builtin_mul_overflow(root, root, &product) || product != square) return std::nullopt;
  return root;
}

}  // namespace tenon::base
