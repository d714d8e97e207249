// Source of the 8-bit forms: OCP 8-bit Floating Point Specification 1.0; FNUZ: Noune et al., 8-bit Numerical Formats
// for Deep Neural Networks; E8M0: OCP Microscaling Formats 1.0.
#include "verify/finite.hpp"

#include <cstring>
#include <span>

namespace tenon::verification {

namespace {

/// Bits without the sign are compared: `infinity` itself, and NaN from `first_nan` to `last_nan`.
struct Pattern {
  std::uint64_t magnitude_mask;
  std::uint64_t infinity;  ///< 0: the type has none
  std::uint64_t first_nan, last_nan;
};

/// A type with values that are not finite. Complex ones count as their halves; F4 and F6_* have no such values.
struct Row {
  DType dtype;
  std::size_t bytes;
  Pattern pattern;
};

constexpr Pattern kFloat64{0x7FFFFFFFFFFFFFFF, 0x7FF0000000000000, 0x7FF0000000000001, 0x7FFFFFFFFFFFFFFF};
constexpr Pattern kFloat32{0x7FFFFFFF, 0x7F800000, 0x7F800001, 0x7FFFFFFF};
constexpr Pattern kFloat16{0x7FFF, 0x7C00, 0x7C01, 0x7FFF};
constexpr Pattern kFnuz{0xFF, 0, 0x80, 0x80};

constexpr Row kRows[] = {
    {DType::Float64, 8, kFloat64},
    {DType::Complex128, 8, kFloat64},
    {DType::Float32, 4, kFloat32},
    {DType::Complex64, 4, kFloat32},
    {DType::Float16, 2, kFloat16},
    {DType::Complex32, 2, kFloat16},
    {DType::BFloat16, 2, {0x7FFF, 0x7F80, 0x7F81, 0x7FFF}},
    {DType::Float8E5M2, 1, {0x7F, 0x7C, 0x7D, 0x7F}},
    {DType::Float8E4M3FN, 1, {0x7F, 0, 0x7F, 0x7F}},
    {DType::Float8E4M3FNUZ, 1, kFnuz},
    {DType::Float8E5M2FNUZ, 1, kFnuz},
    {DType::Float8E8M0FNU, 1, {0xFF, 0, 0xFF, 0xFF}},
};

template <class Bits>
NonFinite count(const TensorView& view, const Pattern& pattern) {
  NonFinite found;
  for_each_block(view, [&](std::span<const std::byte> block) {
    for (std::size_t at = 0; at + sizeof(Bits) <= block.size(); at += sizeof(Bits)) {
      Bits bits;
      std::memcpy(&bits, block.data() + at, sizeof bits);
      const std::uint64_t magnitude = bits & pattern.magnitude_mask;
      found.nan += magnitude >= pattern.first_nan && magnitude <= pattern.last_nan ? 1U : 0U;
      found.infinite += pattern.infinity != 0 && magnitude == pattern.infinity ? 1U : 0U;
    }
  });
  return found;
}

NonFinite count(const TensorView& view, const Row& row) {
  if (row.bytes == 8) return count<std::uint64_t>(view, row.pattern);
  if (row.bytes == 4) return count<std::uint32_t>(view, row.pattern);
  if (row.bytes == 2) return count<std::uint16_t>(view, row.pattern);
  return count<std::uint8_t>(view, row.pattern);
}

}  // namespace

NonFinite count_non_finite(const TensorView& view) {
  for (const Row& row : kRows)
    if (row.dtype == view.dtype) return count(view, row);
  return {};
}

}  // namespace tenon::verification
