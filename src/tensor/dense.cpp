// Strided, swapped or lazily negated elements -> dense row-major little-endian bytes.
//
// Axes from the right that lie dense in the storage form one run; an odometer over the remaining axes copies run after
// run.
#include <tenon/error.hpp>
#include <tenon/tensor.hpp>

#include <algorithm>
#include <cstring>

namespace tenon {

namespace {

constexpr std::size_t kBlockBytes = 256 * 1024;

/// Width of what byte order and sign apply to: the element, or each half of a complex one.
std::size_t part_bytes(DType dtype) {
  const auto width = static_cast<std::size_t>(dtype_bytes(dtype));
  return dtype_kind(dtype) == DTypeKind::Complex ? width / 2 : width;
}

void swap_parts(std::span<std::byte> bytes, std::size_t width) {
  if (width < 2) return;
  for (std::size_t at = 0; at < bytes.size(); at += width) std::reverse(bytes.data() + at, bytes.data() + at + width);
}

/// Flips the sign bit of every `step`-th little-endian part, from `first` on.
void flip_signs(std::span<std::byte> bytes, std::size_t width, std::size_t first, std::size_t step) {
  for (std::size_t at = first * width; at < bytes.size(); at += step * width) bytes[at + width - 1] ^= std::byte{0x80};
}

/// Resolves the encoding of whole elements in place.
void resolve(std::span<std::byte> bytes, DType dtype, const Encoding& encoding) {
  const std::size_t width = part_bytes(dtype);
  if (encoding.big_endian) swap_parts(bytes, width);
  if (encoding.negative) flip_signs(bytes, width, 0, 1);
  if (encoding.conjugate && dtype_kind(dtype) == DTypeKind::Complex) flip_signs(bytes, width, 1, 2);
}

class BlockBuffer {
 public:
  BlockBuffer(const TensorView& view, const std::function<void(std::span<const std::byte>)>& take)
      : view_(view),
        take_(take),
        width_(static_cast<std::size_t>(dtype_bytes(view.dtype))),
        block_(kBlockBytes / width_ * width_) {}

  void add(const std::byte* from, std::size_t count) {
    while (count > 0) {
      const std::size_t piece = std::min(count, block_.size() - used_);
      std::memcpy(block_.data() + used_, from, piece);
      used_ += piece;
      from += piece;
      count -= piece;
      if (used_ == block_.size()) flush();
    }
  }

  void flush() {
    if (used_ == 0) return;
    const std::span<std::byte> filled(block_.data(), used_);
    resolve(filled, view_.dtype, view_.encoding);
    take_(filled);
    used_ = 0;
  }

 private:
  const TensorView& view_;
  const std::function<void(std::span<const std::byte>)>& take_;
  std::size_t width_;
  std::vector<std::byte> block_;
  std::size_t used_ = 0;
};

/// How many axes from the right are dense, and how many elements they span.
struct DenseTail {
  std::size_t outer_axes;
  std::int64_t elements;
};

DenseTail dense_tail(const TensorView& view) {
  DenseTail tail{view.shape.size(), 1};
  while (tail.outer_axes > 0) {
    const std::size_t axis = tail.outer_axes - 1;
    if (view.shape[axis] != 1 && view.stride[axis] != tail.elements) break;
    tail.elements *= view.shape[axis];
    --tail.outer_axes;
  }
  return tail;
}

void gather(const TensorView& view, BlockBuffer& out) {
  const DenseTail tail = dense_tail(view);
  const auto width = static_cast<std::size_t>(dtype_bytes(view.dtype));
  const std::size_t run_bytes = static_cast<std::size_t>(tail.elements) * width;
  const std::byte* const start = view.storage.data() + view.offset_bytes;
  std::vector<std::int64_t> index(tail.outer_axes, 0);
  std::int64_t offset = 0;  // in elements
  for (;;) {
    out.add(start + static_cast<std::size_t>(offset) * width, run_bytes);
    std::size_t axis = tail.outer_axes;
    while (axis > 0) {
      --axis;
      offset += view.stride[axis];
      if (++index[axis] < view.shape[axis]) break;
      offset -= view.stride[axis] * view.shape[axis];
      index[axis] = 0;
      if (axis == 0) return;
    }
    if (tail.outer_axes == 0) return;
  }
}

}  // namespace

void for_each_block(const TensorView& view, const std::function<void(std::span<const std::byte>)>& take) {
  const std::uint64_t total = byte_size(view.shape, view.dtype);
  if (total == 0) return;
  if (is_dense(view)) {
    TENON_ASSERT(view.offset_bytes <= view.storage.size() && total <= view.storage.size() - view.offset_bytes);
    const auto dense = view.storage.subspan(view.offset_bytes, total);
    constexpr std::size_t kPiece = 256 * 1024;  // stays in the cache while it is hashed, summed and written
    for (std::size_t at = 0; at < dense.size(); at += kPiece)
      take(dense.subspan(at, std::min(kPiece, dense.size() - at)));
    return;
  }
  TENON_ASSERT(dtype_bytes(view.dtype) > 0);  // sub-byte types occur in dense views only
  BlockBuffer out(view, take);
  gather(view, out);
  out.flush();
}

void copy_dense(const TensorView& view, std::span<std::byte> out) {
  TENON_ASSERT(out.size() == byte_size(view.shape, view.dtype));
  std::size_t at = 0;
  for_each_block(view, [&](std::span<const std::byte> piece) {
    std::memcpy(out.data() + at, piece.data(), piece.size());
    at += piece.size();
  });
}

}  // namespace tenon
