#include "tensor/interpolate.hpp"

#include <algorithm>
#include <cmath>

namespace tenon::tensor {
namespace {

constexpr double kA = -0.75;

/// What one position of the result takes from: up to four positions of the source and their weights.
struct Taps {
  std::int64_t at[4];
  double weight[4];
  int count;
};

double near(double x) { return ((kA + 2) * x - (kA + 3)) * x * x + 1; }         // |x| <= 1
double far(double x) { return ((kA * x - 5 * kA) * x + 8 * kA) * x - 4 * kA; }  // 1 < |x| < 2

Taps cubic(double source, std::int64_t from) {
  const double floor = std::floor(source), t = source - floor;
  const auto first = static_cast<std::int64_t>(floor) - 1;
  Taps taps{{}, {far(t + 1), near(t), near(1 - t), far(2 - t)}, 4};
  for (int i = 0; i < 4; ++i) taps.at[i] = std::clamp<std::int64_t>(first + i, 0, from - 1);
  return taps;
}

Taps linear(double source, std::int64_t from) {
  source = std::max(source, 0.0);
  const auto first = std::min(static_cast<std::int64_t>(source), from - 1);
  const double t = source - static_cast<double>(first);
  return {{first, std::min(first + 1, from - 1)}, {1 - t, t}, 2};
}

Taps taps_of(std::int64_t position, std::int64_t from, std::int64_t to, ResizeMode mode) {
  const double scale = static_cast<double>(from) / static_cast<double>(to);
  const double source = (static_cast<double>(position) + 0.5) * scale - 0.5;
  switch (mode) {
    case ResizeMode::Bicubic: return cubic(source, from);
    case ResizeMode::Bilinear:
    case ResizeMode::Linear: return linear(source, from);
    case ResizeMode::Nearest: break;
  }
  const auto nearest = static_cast<std::int64_t>(std::floor(static_cast<double>(position) * scale));
  return {{std::min(nearest, from - 1)}, {1}, 1};
}

}  // namespace

std::vector<double> interpolated(const std::vector<double>& values, std::int64_t outer, std::int64_t from,
                                 std::int64_t to, std::int64_t inner, ResizeMode mode) {
  const auto width = static_cast<std::size_t>(inner);
  std::vector<double> result(static_cast<std::size_t>(outer * to) * width, 0.0);
  for (std::int64_t position = 0; position < to; ++position) {
    const Taps taps = taps_of(position, from, to, mode);
    for (std::int64_t block = 0; block < outer; ++block) {
      double* const out = result.data() + static_cast<std::size_t>(block * to + position) * width;
      for (int tap = 0; tap < taps.count; ++tap) {
        const double* const in = values.data() + static_cast<std::size_t>(block * from + taps.at[tap]) * width;
        for (std::size_t i = 0; i < width; ++i) out[i] += taps.weight[tap] * in[i];
      }
    }
  }
  return result;
}

}  // namespace tenon::tensor
