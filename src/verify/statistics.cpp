// Source of the running mean and deviation: Welford, Note on a Method for Calculating Corrected Sums of Squares, 1962.
#include "verify/statistics.hpp"

#include <algorithm>
#include <cmath>
#include <span>

#include "tensor/codecs.hpp"

namespace tenon::verification {

namespace {

class Gatherer {
 public:
  void add(double value) {
    if (std::isnan(value)) {
      ++nan_;
    } else if (std::isinf(value)) {
      ++infinite_;
    } else {
      add_finite(value);
    }
  }

  Statistics result() const {
    Statistics statistics;
    statistics.zeros = zeros_;
    statistics.nan = nan_;
    statistics.infinite = infinite_;
    if (finite_ == 0) return statistics;
    statistics.min = min_;
    statistics.max = max_;
    statistics.mean = mean_;
    statistics.deviation = std::sqrt(squares_ / static_cast<double>(finite_));
    return statistics;
  }

 private:
  void add_finite(double value) {
    min_ = finite_ == 0 ? value : std::min(min_, value);
    max_ = finite_ == 0 ? value : std::max(max_, value);
    ++finite_;
    if (value == 0) ++zeros_;
    const double step = value - mean_;
    mean_ += step / static_cast<double>(finite_);
    squares_ += step * (value - mean_);
  }

  std::uint64_t finite_ = 0, zeros_ = 0, nan_ = 0, infinite_ = 0;
  double min_ = 0, max_ = 0, mean_ = 0, squares_ = 0;
};

}  // namespace

std::optional<Statistics> statistics(const TensorView& view) {
  if (!can_cast(view.dtype, DType::Float64) || dtype_kind(view.dtype) == DTypeKind::Complex) return std::nullopt;
  Gatherer gatherer;
  tensor::dispatch(view.dtype, [&]<class Codec>() {
    for_each_block(view, [&](std::span<const std::byte> block) {
      for (std::size_t at = 0; at + Codec::kBytes <= block.size(); at += Codec::kBytes)
        gatherer.add(tensor::decode<Codec, double>(block.data() + at).real);
    });
  });
  return gatherer.result();
}

}  // namespace tenon::verification
