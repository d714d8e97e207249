// How a tensor's elements stand in memory, by name. Loads and comparisons go by index: no layout changes a value.
#include <tenon/tensor.hpp>

#include <algorithm>
#include <array>
#include <cstddef>
#include <numeric>

#include "tensor/words.hpp"

namespace tenon {
namespace {

/// Axes from the slowest to the fastest in memory are `order`, and nothing lies between the elements.
bool is_dense_in(const Shape& shape, const Stride& stride, const std::vector<std::size_t>& order) {
  std::int64_t step = 1;
  for (std::size_t i = order.size(); i-- > 0;) {
    const std::size_t axis = order[i];
    if (shape[axis] != 1 && stride[axis] != step) return false;
    if (__builtin_mul_overflow(step, shape[axis], &step)) return false;
  }
  return true;
}

std::vector<std::size_t> row_major(std::size_t rank) {
  std::vector<std::size_t> order(rank);
  std::iota(order.begin(), order.end(), std::size_t{0});
  return order;
}

/// [N, C, H, W] whose channels stand together: 0 2 3 1.
std::vector<std::size_t> channels_last(std::size_t rank) {
  auto order = row_major(rank);
  std::rotate(order.begin() + 1, order.begin() + 2, order.end());
  return order;
}

std::vector<std::size_t> by_stride(const Stride& stride) {
  auto order = row_major(stride.size());
  std::stable_sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) { return stride[a] > stride[b]; });
  return order;
}

}  // namespace

std::string_view layout_name(const Shape& shape, const Stride& stride) {
  const std::size_t rank = shape.size();
  const bool has_elements = std::find(shape.begin(), shape.end(), 0) == shape.end();
  if (stride.size() != rank || !has_elements || is_dense_in(shape, stride, row_major(rank))) return "row-major";
  if (rank == 4 && is_dense_in(shape, stride, channels_last(rank))) return "channels_last";
  if (rank == 5 && is_dense_in(shape, stride, channels_last(rank))) return "channels_last_3d";
  return is_dense_in(shape, stride, by_stride(stride)) ? "permuted" : "strided";
}

namespace tensor {

bool same_layout(const Shape& shape, const Stride& a, const Stride& b) {
  if (layout_name(shape, a) == "row-major" || layout_name(shape, b) == "row-major")
    return layout_name(shape, a) == layout_name(shape, b);
  for (std::size_t axis = 0; axis < shape.size(); ++axis)
    if (shape[axis] != 1 && a[axis] != b[axis]) return false;
  return true;
}

}  // namespace tensor
}  // namespace tenon
