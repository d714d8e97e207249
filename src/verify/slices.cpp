#include "verify/slices.hpp"

#include <algorithm>
#include <vector>

#include <tenon/error.hpp>

namespace tenon::verification {

namespace {

constexpr std::int64_t kSliceElements = 128 * 1024;

/// The dense bytes of a view: its own where it is dense, else a copy in `buffer`.
std::span<const std::byte> dense_bytes(const TensorView& view, std::vector<std::byte>& buffer) {
  const std::uint64_t count = byte_size(view.shape, view.dtype);
  if (is_dense(view)) return view.storage.subspan(view.offset_bytes, count);
  buffer.resize(count);
  copy_dense(view, buffer);
  return buffer;
}

/// `count` rows of axis `axis` from `first` on, at a fixed index of the axes before it.
TensorView rows(const TensorView& view, const std::vector<std::int64_t>& outer, std::int64_t first,
                std::int64_t count) {
  const auto axis = static_cast<std::ptrdiff_t>(outer.size());
  TensorView slice = view;
  std::int64_t elements = first * view.stride[outer.size()];
  for (std::size_t i = 0; i < outer.size(); ++i) elements += outer[i] * view.stride[i];
  slice.offset_bytes += static_cast<std::uint64_t>(elements * dtype_bytes(view.dtype));
  slice.shape.erase(slice.shape.begin(), slice.shape.begin() + axis);
  slice.stride.erase(slice.stride.begin(), slice.stride.begin() + axis);
  slice.shape[0] = count;
  return slice;
}

/// Steps the index of the outer axes; false when all have been seen.
bool next(std::vector<std::int64_t>& outer, const Shape& shape) {
  for (std::size_t axis = outer.size(); axis-- > 0;) {
    if (++outer[axis] < shape[axis]) return true;
    outer[axis] = 0;
  }
  return false;
}

}  // namespace

void for_each_slice(const TensorView& a, const TensorView& b,
                    const std::function<void(std::span<const std::byte>, std::span<const std::byte>)>& take) {
  TENON_ASSERT(a.shape == b.shape);
  std::vector<std::byte> buffer_a, buffer_b;
  const bool whole_bytes = dtype_bytes(a.dtype) > 0 && dtype_bytes(b.dtype) > 0;
  if (element_count(a.shape) == 0) return;
  if (a.shape.empty() || !whole_bytes) return take(dense_bytes(a, buffer_a), dense_bytes(b, buffer_b));
  // The outermost axis whose rows are small enough is cut into runs of rows; the axes before it are counted through.
  std::int64_t row = element_count(a.shape);
  std::size_t axis = 0;
  for (row /= a.shape[0]; row > kSliceElements && axis + 1 < a.shape.size(); row /= a.shape[axis]) ++axis;
  const std::int64_t step = std::max<std::int64_t>(1, kSliceElements / row);
  std::vector<std::int64_t> outer(axis, 0);
  do {
    for (std::int64_t first = 0; first < a.shape[axis]; first += step) {
      const std::int64_t count = std::min(step, a.shape[axis] - first);
      take(dense_bytes(rows(a, outer, first, count), buffer_a), dense_bytes(rows(b, outer, first, count), buffer_b));
    }
  } while (next(outer, a.shape));
}

}  // namespace tenon::verification
