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

constexpr Pattern kFloat64{0x7FFFFFFFFFFFFFFF, 0x7FF0000000000000, 0x7FF0000000000001, 0x7FFFFFFFFFFFFFFF};
constexpr Pattern kFloat32{0x7FFFFFFF, 0x7F800000, 0x7F800001, 0x7FFFFFFF};
constexpr Pattern kFloat16{0x7FFF, 0x7C00, 0x7C01, 0x7FFF};
constexpr Pattern kBFloat16{0x7FFF, 0x7F80, 0x7F81, 0x7FFF};
constexpr Pattern kE5M2{0x7F, 0x7C, 0x7D, 0x7F};
constexpr Pattern kE4M3FN{0x7F, 0, 0x7F, 0x7F};
constexpr Pattern kFnuz{0xFF, 0, 0x80, 0x80};
constexpr Pattern kE8M0{0xFF, 0, 0xFF, 0xFF};

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

}  // namespace

NonFinite count_non_finite(const TensorView& view) {
  switch (view.dtype) {
    case DType::Float64:
    case DType::Complex128: return count<std::uint64_t>(view, kFloat64);
    case DType::Float32:
    case DType::Complex64: return count<std::uint32_t>(view, kFloat32);
    case DType::Float16:
    case DType::Complex32: return count<std::uint16_t>(view, kFloat16);
    case DType::BFloat16: return count<std::uint16_t>(view, kBFloat16);
    case DType::Float8E5M2: return count<std::uint8_t>(view, kE5M2);
    case DType::Float8E4M3FN: return count<std::uint8_t>(view, kE4M3FN);
    case DType::Float8E4M3FNUZ:
    case DType::Float8E5M2FNUZ: return count<std::uint8_t>(view, kFnuz);
    case DType::Float8E8M0FNU: return count<std::uint8_t>(view, kE8M0);
    case DType::Float4E2M1FNx2:
    case DType::Int64:
    case DType::Int32:
    case DType::Int16:
    case DType::Int8:
    case DType::UInt64:
    case DType::UInt32:
    case DType::UInt16:
    case DType::UInt8:
    case DType::Bool:
    case DType::QInt8:
    case DType::QUInt8:
    case DType::QInt32:
    case DType::QUInt4x2:
    case DType::QUInt2x4:
    case DType::Bits8:
    case DType::Bits16:
    case DType::Bits1x8:
    case DType::Bits2x4:
    case DType::Bits4x2:
    case DType::UInt1:
    case DType::UInt2:
    case DType::UInt3:
    case DType::UInt4:
    case DType::UInt5:
    case DType::UInt6:
    case DType::UInt7:
    case DType::Int1:
    case DType::Int2:
    case DType::Int3:
    case DType::Int4:
    case DType::Int5:
    case DType::Int6:
    case DType::Int7:
    case DType::F4:  // F4, F6_*: no bit pattern stands for NaN or infinity
    case DType::F6E2M3:
    case DType::F6E3M2:
    case DType::Q4_0:
    case DType::Q4_1:
    case DType::Q5_0:
    case DType::Q5_1:
    case DType::Q8_0:
    case DType::Q8_1:
    case DType::Q2_K:
    case DType::Q3_K:
    case DType::Q4_K:
    case DType::Q5_K:
    case DType::Q6_K:
    case DType::Q8_K:
    case DType::IQ2_XXS:
    case DType::IQ2_XS:
    case DType::IQ3_XXS:
    case DType::IQ1_S:
    case DType::IQ4_NL:
    case DType::IQ3_S:
    case DType::IQ2_S:
    case DType::IQ4_XS:
    case DType::IQ1_M:
    case DType::TQ1_0:
    case DType::TQ2_0:
    case DType::MXFP4:
    case DType::NVFP4:
    case DType::Q1_0:
    case DType::Unknown:
    case DType::String: break;
  }
  return {};
}

}  // namespace tenon::verification
