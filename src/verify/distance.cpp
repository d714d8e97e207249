#include "verify/distance.hpp"

#include <cmath>
#include <cstring>
#include <limits>
#include <algorithm>
#include <vector>

#include <tenon/tensor.hpp>

#include "tensor/codecs.hpp"

namespace tenon::verification {

namespace {

using Value = tensor::Wide<double>;

std::vector<Value> decoded(DType dtype, std::span<const std::byte> bytes) {
  std::vector<Value> values;
  tensor::dispatch(dtype, [&]<class Codec>() {
    values.resize(bytes.size() / Codec::kBytes);
    for (std::size_t i = 0; i < values.size(); ++i)
      values[i] = tensor::decode<Codec, double>(bytes.data() + i * Codec::kBytes);
  });
  return values;
}

bool is_numeric(DType dtype) { return can_cast(dtype, DType::Complex128); }

bool same_value(double a, double b) { return a == b || (std::isnan(a) && std::isnan(b)); }

}  // namespace

Distance::Distance(DType a, DType b) : a_(a), b_(b), numeric_(is_numeric(a) && is_numeric(b)) {}

void Distance::add(std::span<const std::byte> a, std::span<const std::byte> b) {
  if (a_ == b_) count_changed_bytes(a, b);
  if (!numeric_) return;
  const std::vector<Value> values_a = decoded(a_, a), values_b = decoded(b_, b);
  for (std::size_t i = 0; i < values_a.size(); ++i) {
    add_value(values_a[i].real, values_b[i].real);
    add_value(values_a[i].imaginary, values_b[i].imaginary);
    const bool same =
        same_value(values_a[i].real, values_b[i].real) && same_value(values_a[i].imaginary, values_b[i].imaginary);
    if (a_ != b_ && !same) ++changed_;
  }
}

void Distance::count_changed_bytes(std::span<const std::byte> a, std::span<const std::byte> b) {
  const auto width = static_cast<std::size_t>(std::max<std::int64_t>(1, dtype_bytes(a_)));
  for (std::size_t at = 0; at + width <= a.size(); at += width)
    changed_ += std::memcmp(a.data() + at, b.data() + at, width) != 0 ? 1U : 0U;
}

void Distance::add_value(double a, double b) {
  const double difference = same_value(a, b) ? 0 : std::fabs(a - b);
  if (std::isnan(difference) || difference > max_abs_) max_abs_ = difference;  // once NaN, nothing is greater
  square_a_ += a * a;
  square_b_ += b * b;
  square_difference_ += difference * difference;
  dot_ += a * b;
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
