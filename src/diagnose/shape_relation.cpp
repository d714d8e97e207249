#include "diagnose/shape_relation.hpp"

#include <algorithm>

namespace tenon::diagnosis {
namespace {

constexpr std::size_t kMaxPermutedAxes = 6;

Shape squeezed(const Shape& shape) {
  Shape result;
  std::copy_if(shape.begin(), shape.end(), std::back_inserter(result), [](std::int64_t extent) { return extent != 1; });
  return result;
}

}  // namespace

std::optional<std::size_t> only_axis(const Shape& a, const Shape& b) {
  if (a.size() != b.size()) return std::nullopt;
  std::optional<std::size_t> axis;
  for (std::size_t i = 0; i < a.size(); ++i) {
    if (a[i] == b[i]) continue;
    if (axis) return std::nullopt;
    axis = i;
  }
  return axis;
}

bool equal_when_squeezed(const Shape& a, const Shape& b) { return a != b && squeezed(a) == squeezed(b); }

std::optional<std::vector<std::size_t>> permutation(const Shape& a, const Shape& b) {
  if (a.size() != b.size() || a == b || a.size() > kMaxPermutedAxes) return std::nullopt;
  std::vector<std::size_t> order(a.size());
  for (std::size_t i = 0; i < order.size(); ++i) order[i] = i;
  do {
    bool fits = true;
    for (std::size_t i = 0; i < order.size() && fits; ++i) fits = b[i] == a[order[i]];
    if (fits) return order;
  } while (std::next_permutation(order.begin(), order.end()));
  return std::nullopt;
}

bool scaled_by(const Shape& a, const Shape& b, std::int64_t num, std::int64_t den) {
  if (a.size() != b.size() || a == b || num <= 0 || den <= 0) return false;
  return std::equal(a.begin(), a.end(), b.begin(), [&](std::int64_t x, std::int64_t y) {
    return x == y ||
           static_cast<double>(x) * static_cast<double>(num) == static_cast<double>(y) * static_cast<double>(den);
  });
}

std::int64_t element_count(const Shape& shape) {
  std::int64_t count = 1;
  for (const std::int64_t extent : shape)
    if (__builtin_mul_overflow(count, extent, &count)) return INT64_MAX;
  return count;
}

bool is_empty_shape(const Shape& shape) { return shape.size() == 1 && shape[0] == 0; }

}  // namespace tenon::diagnosis
