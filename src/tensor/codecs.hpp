// Codecs: one element of a dtype <-> a number, for every dtype whose values tenon converts.
//
// A codec has kBytes, kIsComplex, kIsInteger, and per wide type W (double; long double where 64-bit integers take
// part):
//   static Wide<W> decode(const std::byte*)          exact
//   static void encode(Wide<W>, std::byte*)          as PyTorch's Tensor.to does
// Source of the 8- and 16-bit float formats: c10/util/{Half,BFloat16,Float8_*}.h describe them; OCP 8-bit Floating
// Point Specification; "FNUZ" forms: Noune et al., 8-bit Numerical Formats for Deep Neural Networks.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <limits>
#include <type_traits>

#include <tenon/dtype.hpp>
#include <tenon/error.hpp>

namespace tenon::tensor {

template <class W>
struct Wide {
  W real = 0;
  W imaginary = 0;
};

template <class Bits>
Bits load(const std::byte* from) {
  Bits bits;
  std::memcpy(&bits, from, sizeof bits);
  return bits;
}
template <class Bits>
void store(Bits bits, std::byte* to) {
  std::memcpy(to, &bits, sizeof bits);
}

/// float32, float64.
template <class T>
struct NativeFloat {
  static constexpr std::size_t kBytes = sizeof(T);
  static constexpr bool kIsComplex = false, kIsInteger = false;
  template <class W>
  static W decode_part(const std::byte* from) {
    return static_cast<W>(load<T>(from));
  }
  template <class W>
  static void encode_part(W value, std::byte* to) {
    store(static_cast<T>(value), to);
  }
};

enum class Specials { Ieee, NanOnly, NegativeZeroIsNan };

/// A float of sign, `kExponent` and `kMantissa` bits. Ieee: the top exponent is infinity and NaN; NanOnly (e4m3fn):
/// only all ones is NaN; NegativeZeroIsNan (fnuz): 0x80 is NaN, there is no -0 and no infinity.
template <class Bits, int kExponent, int kMantissa, int kBias, Specials kSpecials>
struct SmallFloat {
  static constexpr std::size_t kBytes = sizeof(Bits);
  static constexpr bool kIsComplex = false, kIsInteger = false;
  static constexpr unsigned kMantissaMask = (1U << kMantissa) - 1U;
  static constexpr unsigned kTopExponent = (1U << kExponent) - 1U;
  static constexpr unsigned kSign = 1U << (kExponent + kMantissa);
  static constexpr unsigned kNan = kSpecials == Specials::NegativeZeroIsNan ? kSign
                                   : kSpecials == Specials::NanOnly
                                       ? kSign - 1U
                                       : (kTopExponent << kMantissa) | (1U << (kMantissa - 1));
  /// First magnitude that is not a finite number.
  static constexpr unsigned kEnd = kSpecials == Specials::Ieee      ? kTopExponent << kMantissa
                                   : kSpecials == Specials::NanOnly ? kSign - 1U
                                                                    : kSign;
  static constexpr unsigned kOverflow = kSpecials == Specials::Ieee ? kTopExponent << kMantissa : kNan;

  template <class W>
  static W decode_part(const std::byte* from) {
    const unsigned bits = load<Bits>(from);
    const unsigned magnitude = bits & (kSign - 1U);
    const bool negative = (bits & kSign) != 0;
    if constexpr (kSpecials == Specials::NegativeZeroIsNan) {
      if (bits == kSign) return std::numeric_limits<W>::quiet_NaN();
    }
    if (magnitude >= kEnd) {
      const bool infinite = kSpecials == Specials::Ieee && magnitude == kEnd;
      const W special = infinite ? std::numeric_limits<W>::infinity() : std::numeric_limits<W>::quiet_NaN();
      return negative ? -special : special;
    }
    const unsigned exponent = magnitude >> kMantissa;
    const unsigned mantissa = magnitude & kMantissaMask;
    const W value = exponent == 0 ? std::ldexp(static_cast<W>(mantissa), 1 - kBias - kMantissa)
                                  : std::ldexp(static_cast<W>(mantissa | (1U << kMantissa)),
                                               static_cast<int>(exponent) - kBias - kMantissa);
    return negative ? -value : value;
  }

  /// By way of float32, as PyTorch does; then to nearest, ties to even.
  template <class W>
  static void encode_part(W wide, std::byte* to) {
    const auto value = static_cast<float>(wide);
    const unsigned sign = std::signbit(value) ? kSign : 0U;
    store(static_cast<Bits>(pack(std::fabs(value), sign)), to);
  }

 private:
  static unsigned pack(float magnitude, unsigned sign) {
    if (std::isnan(magnitude)) return kSpecials == Specials::NegativeZeroIsNan ? kNan : sign | kNan;
    unsigned bits = std::isinf(magnitude) ? kEnd : rounded(magnitude);
    if (bits >= kEnd) return kSpecials == Specials::NegativeZeroIsNan ? kNan : sign | kOverflow;
    if (kSpecials == Specials::NegativeZeroIsNan && bits == 0) return 0;
    return sign | bits;
  }

  /// Bits of the nearest number; an overflow of the mantissa carries into the exponent as it should.
  static unsigned rounded(float magnitude) {
    if (magnitude == 0) return 0;
    const int exponent =
        std::max(std::ilogb(magnitude), 1 - kBias);  // the least normal exponent also serves the subnormals
    if (exponent > static_cast<int>(kTopExponent) - kBias) return kEnd;
    const double scaled =
        std::ldexp(static_cast<double>(magnitude), kMantissa - exponent);  // exact: a float in a double
    const auto digits = static_cast<unsigned>(std::nearbyint(scaled));     // ties to even, the default mode
    return digits + (static_cast<unsigned>(exponent + kBias - 1) << kMantissa);
  }
};

using Float16Codec = SmallFloat<std::uint16_t, 5, 10, 15, Specials::Ieee>;
using BFloat16Codec = SmallFloat<std::uint16_t, 8, 7, 127, Specials::Ieee>;
using Float8E4M3FNCodec = SmallFloat<std::uint8_t, 4, 3, 7, Specials::NanOnly>;
using Float8E5M2Codec = SmallFloat<std::uint8_t, 5, 2, 15, Specials::Ieee>;
using Float8E4M3FNUZCodec = SmallFloat<std::uint8_t, 4, 3, 8, Specials::NegativeZeroIsNan>;
using Float8E5M2FNUZCodec = SmallFloat<std::uint8_t, 5, 2, 16, Specials::NegativeZeroIsNan>;

/// Integers. From a float the fraction is cut off; what does not fit is held at the nearest end and counts as overflow.
template <class T>
struct Integer {
  static constexpr std::size_t kBytes = sizeof(T);
  static constexpr bool kIsComplex = false, kIsInteger = true;
  template <class W>
  static W decode_part(const std::byte* from) {
    return static_cast<W>(load<T>(from));
  }
  template <class W>
  static void encode_part(W value, std::byte* to) {
    constexpr auto kLeast = std::numeric_limits<T>::min();
    constexpr auto kMost = std::numeric_limits<T>::max();
    if (std::isnan(value)) return store(T{0}, to);
    if (value <= static_cast<W>(kLeast)) return store(kLeast, to);
    // The cast of the greatest 64-bit integer to double rounds up to 2^63 or 2^64, hence >=.
    if (value >= static_cast<W>(kMost)) return store(kMost, to);
    store(static_cast<T>(value), to);
  }
};

struct BoolCodec {
  static constexpr std::size_t kBytes = 1;
  static constexpr bool kIsComplex = false, kIsInteger = true;
  template <class W>
  static W decode_part(const std::byte* from) {
    return *from == std::byte{0} ? W{0} : W{1};
  }
  template <class W>
  static void encode_part(W value, std::byte* to) {
    *to = value != 0 ? std::byte{1} : std::byte{0};
  }
};

/// Two parts of `Part` in a row.
template <class Part>
struct ComplexOf : Part {
  static constexpr std::size_t kBytes = 2 * Part::kBytes;
  static constexpr bool kIsComplex = true;
};

template <class Codec, class W>
Wide<W> decode(const std::byte* from) {
  Wide<W> value{Codec::template decode_part<W>(from), 0};
  if constexpr (Codec::kIsComplex) value.imaginary = Codec::template decode_part<W>(from + Codec::kBytes / 2);
  return value;
}

template <class Codec, class W>
void encode(const Wide<W>& value, std::byte* to) {
  if constexpr (std::is_same_v<Codec, BoolCodec>) {
    *to = value.real != 0 || value.imaginary != 0 ? std::byte{1} : std::byte{0};
  } else {
    Codec::encode_part(value.real, to);
    if constexpr (Codec::kIsComplex) Codec::encode_part(value.imaginary, to + Codec::kBytes / 2);
  }
}

template <DType Value, class Codec>
struct CodecOf {};

/// Calls `use.template operator()<Codec>()` for the one row whose dtype it is.
template <class Use, DType... Values, class... Codecs>
bool dispatch_among(DType dtype, Use& use, CodecOf<Values, Codecs>...) {
  return ((dtype == Values && (use.template operator()<Codecs>(), true)) || ...);
}

/// Calls `use.template operator()<Codec>()` for the dtype. Only for dtypes with can_cast.
template <class Use>
void dispatch(DType dtype, Use&& use) {
  const bool is_known = dispatch_among(
      dtype, use,  //
      CodecOf<DType::Float64, NativeFloat<double>>(), CodecOf<DType::Float32, NativeFloat<float>>(),
      CodecOf<DType::Float16, Float16Codec>(), CodecOf<DType::BFloat16, BFloat16Codec>(),
      CodecOf<DType::Float8E4M3FN, Float8E4M3FNCodec>(), CodecOf<DType::Float8E5M2, Float8E5M2Codec>(),
      CodecOf<DType::Float8E4M3FNUZ, Float8E4M3FNUZCodec>(), CodecOf<DType::Float8E5M2FNUZ, Float8E5M2FNUZCodec>(),
      CodecOf<DType::Int64, Integer<std::int64_t>>(), CodecOf<DType::Int32, Integer<std::int32_t>>(),
      CodecOf<DType::Int16, Integer<std::int16_t>>(), CodecOf<DType::Int8, Integer<std::int8_t>>(),
      CodecOf<DType::UInt64, Integer<std::uint64_t>>(), CodecOf<DType::UInt32, Integer<std::uint32_t>>(),
      CodecOf<DType::UInt16, Integer<std::uint16_t>>(), CodecOf<DType::UInt8, Integer<std::uint8_t>>(),
      CodecOf<DType::Bool, BoolCodec>(), CodecOf<DType::Complex128, ComplexOf<NativeFloat<double>>>(),
      CodecOf<DType::Complex64, ComplexOf<NativeFloat<float>>>(), CodecOf<DType::Complex32, ComplexOf<Float16Codec>>());
  if (!is_known) throw Bug("no codec for this dtype");
}

}  // namespace tenon::tensor
