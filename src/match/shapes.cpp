#include "match/shapes.hpp"

#include <algorithm>

namespace tenon::match {
namespace {

double product(const Shape& shape) {
  double result = 1;
  for (const std::int64_t extent : shape) result *= static_cast<double>(extent);
  return result;
}

/// Whether neighbouring axes of `fine` multiplied give `coarse`.
bool merges_into(const Shape& fine, const Shape& coarse) {
  std::size_t at = 0;
  for (const std::int64_t extent : coarse) {
    std::int64_t product_so_far = 1;
    while (at < fine.size() && product_so_far < extent) product_so_far *= fine[at++];
    if (product_so_far != extent) return false;
  }
  return at == fine.size();
}

bool is_flattened(const Shape& a, const Shape& b) {
  const Shape &fine = a.size() > b.size() ? a : b, &coarse = a.size() > b.size() ? b : a;
  return merges_into(fine, coarse) || merges_into(fine, Shape(coarse.rbegin(), coarse.rend()));
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
  const bool flattens = is_flattened(x, y);
  std::sort(x.begin(), x.end());
  std::sort(y.begin(), y.end());
  if (x == y) return Relation::Permuted;
  return flattens ? Relation::Reshaped : Relation::None;
}

}  // namespace tenon::match
