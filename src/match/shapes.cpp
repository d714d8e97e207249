#include "match/shapes.hpp"

#include <algorithm>

namespace tenon::match {
namespace {

double product(const Shape& shape) {
  double result = 1;
  for (const std::int64_t extent : shape) result *= static_cast<double>(extent);
  return result;
}

}  // namespace

Shape squeezed(const Shape& shape) {
  Shape result;
  std::copy_if(shape.begin(), shape.end(), std::back_inserter(result), [](std::int64_t extent) { return extent != 1; });
  return result;
}

Relation relation_between(const Shape& a, const Shape& b) {
  if (a == b) return Relation::Equal;
  if (product(a) != product(b)) return Relation::None;
  Shape x = squeezed(a), y = squeezed(b);
  if (x == y) return Relation::Squeezed;
  std::sort(x.begin(), x.end());
  std::sort(y.begin(), y.end());
  return x == y ? Relation::Permuted : Relation::Reshaped;
}

}  // namespace tenon::match
