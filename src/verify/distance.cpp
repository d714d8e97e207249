#include "verify/distance.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <limits>

#include <tenon/tensor.hpp>

#include "tensor/codecs.hpp"

namespace tenon::verification {

namespace {

bool is_numeric(DType dtype) { return can_cast(dtype, DType::Complex128); }

// NaN on both sides is no difference; bitwise operators, because branches keep loops from becoming vector code.
bool same_value(double a, double b) { return (a == b) | ((a != a) & (b != b)); }

/// Elements that are not the same bytes, for a width that the compiler knows.
template <class Bits>
std::uint64_t count_changed(std::span<const std::byte> a, std::span<const std::byte> b) {
  std::uint64_t changed = 0;
  for (std::size_t at = 0; at + sizeof(Bits) <= a.size(); at += sizeof(Bits))
    changed += tensor::load<Bits>(a.data() + at) != tensor::load<Bits>(b.data() + at) ? 1U : 0U;
  return changed;
}

constexpr std::size_t kBlock = 1024;  // doubles on the stack, and in the first cache

/// A block of elements in two halves; the imaginary ones stay 0 for real types.
struct Block {
  std::array<double, kBlock> real{}, imaginary{};

  void decode(DType dtype, const std::byte* from, std::size_t count) {
    tensor::dispatch(dtype, [&]<class Codec>() {
      for (std::size_t i = 0; i < count; ++i) real[i] = Codec::template decode_part<double>(from + i * Codec::kBytes);
      if constexpr (Codec::kIsComplex)
        for (std::size_t i = 0; i < count; ++i)
          imaginary[i] = Codec::template decode_part<double>(from + i * Codec::kBytes + Codec::kBytes / 2);
    });
  }
};

bool is_complex(DType dtype) { return dtype_kind(dtype) == DTypeKind::Complex; }

}  // namespace

Distance::Distance(DType a, DType b) : a_(a), b_(b), numeric_(is_numeric(a) && is_numeric(b)) {}

void Distance::add(std::span<const std::byte> a, std::span<const std::byte> b) {
  if (a_ == b_) count_changed_bytes(a, b);
  if (!numeric_) return;
  const auto width_a = static_cast<std::size_t>(dtype_bytes(a_)), width_b = static_cast<std::size_t>(dtype_bytes(b_));
  const bool has_imaginary = is_complex(a_) || is_complex(b_);
  const std::size_t count = a.size() / width_a;
  Block x, y;
  for (std::size_t at = 0; at < count; at += kBlock) {
    const std::size_t size = std::min(kBlock, count - at);
    x.decode(a_, a.data() + at * width_a, size);
    y.decode(b_, b.data() + at * width_b, size);
    add_values(std::span(x.real).first(size), std::span(y.real).first(size));
    if (has_imaginary) add_values(std::span(x.imaginary).first(size), std::span(y.imaginary).first(size));
    if (a_ == b_) continue;  // counted by their bytes
    for (std::size_t i = 0; i < size; ++i)
      changed_ += same_value(x.real[i], y.real[i]) && same_value(x.imaginary[i], y.imaginary[i]) ? 0U : 1U;
  }
}

void Distance::count_changed_bytes(std::span<const std::byte> a, std::span<const std::byte> b) {
  const auto width = static_cast<std::size_t>(std::max<std::int64_t>(1, dtype_bytes(a_)));
  if (width == 1) changed_ += count_changed<std::uint8_t>(a, b);
  if (width == 2) changed_ += count_changed<std::uint16_t>(a, b);
  if (width == 4) changed_ += count_changed<std::uint32_t>(a, b);
  if (width == 8) changed_ += count_changed<std::uint64_t>(a, b);
  if (width == 1 || width == 2 || width == 4 || width == 8) return;
  for (std::size_t at = 0; at + width <= a.size(); at += width)
    changed_ += std::memcmp(a.data() + at, b.data() + at, width) != 0 ? 1U : 0U;
}

/// Sums in lanes that do not wait for each other: one after another, each addition would wait four cycles for the last.
struct Distance::Sums {
  static constexpr std::size_t kLanes = 8;
  std::array<double, kLanes> max_abs{}, square_a{}, square_b{}, square_difference{}, dot{};

  void add(std::size_t lane, double a, double b) {
    const double difference = same_value(a, b) ? 0 : std::fabs(a - b);
    const bool greater = (difference > max_abs[lane]) | (difference != difference);  // once NaN, nothing is greater
    max_abs[lane] = greater ? difference : max_abs[lane];
    square_a[lane] += a * a;
    square_b[lane] += b * b;
    square_difference[lane] += difference * difference;
    dot[lane] += a * b;
  }
};

void Distance::add_values(std::span<const double> a, std::span<const double> b) {
  Sums sums;
  const std::size_t whole = a.size() / Sums::kLanes * Sums::kLanes;
  for (std::size_t at = 0; at < whole; at += Sums::kLanes)
    for (std::size_t lane = 0; lane < Sums::kLanes; ++lane) sums.add(lane, a[at + lane], b[at + lane]);
  for (std::size_t at = whole; at < a.size(); ++at) sums.add(at - whole, a[at], b[at]);
  for (std::size_t lane = 0; lane < Sums::kLanes; ++lane) {
    if (std::isnan(sums.max_abs[lane]) || sums.max_abs[lane] > max_abs_) max_abs_ = sums.max_abs[lane];
    square_a_ += sums.square_a[lane];
    square_b_ += sums.square_b[lane];
    square_difference_ += sums.square_difference[lane];
    dot_ += sums.dot[lane];
  }
}

std::optional<double> Distance::max_abs() const { return numeric_ ? std::optional(max_abs_) : std::nullopt; }

std::optional<double> Distance::rel_l2() const {
  if (!numeric_) return std::nullopt;
  if (square_difference_ == 0) return 0;
  if (square_a_ == 0) return std::numeric_limits<double>::infinity();
  return std::sqrt(square_difference_ / square_a_);
}

std::optional<double> Distance::cosine() const {
  if (!numeric_ || square_a_ == 0 || square_b_ == 0) return std::nullopt;
  return dot_ / (std::sqrt(square_a_) * std::sqrt(square_b_));
}

}  // namespace tenon::verification
