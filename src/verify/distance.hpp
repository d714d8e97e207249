// Distance: how far two tensors of one shape are apart, gathered block by block in float64.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

#include <tenon/dtype.hpp>

namespace tenon::verification {

class Distance {
 public:
  /// Both types need can_cast to float64, or be equal: then only differing elements are counted.
  Distance(DType a, DType b);

  /// Dense bytes of the same elements on both sides.
  void add(std::span<const std::byte> a, std::span<const std::byte> b);

  std::uint64_t changed_elements() const { return changed_; }

  // Nothing where the types have no values that tenon converts.
  std::optional<double> max_abs() const;  ///< NaN when one side is NaN where the other is not
  std::optional<double> rel_l2() const;   ///< |a - b| / |a|; infinite when |a| = 0 < |a - b|
  std::optional<double> cosine() const;   ///< nothing when one side is all zeros

 private:
  struct Sums;
  void add_values(std::span<const double> a, std::span<const double> b);
  void count_changed_bytes(std::span<const std::byte> a, std::span<const std::byte> b);

  DType a_, b_;
  bool numeric_;
  std::uint64_t changed_ = 0;
  double max_abs_ = 0;
  double square_a_ = 0, square_b_ = 0, square_difference_ = 0, dot_ = 0;
};

}  // namespace tenon::verification
