// Shape, TensorView and Tensor: typed n-d arrays over bytes that somebody else owns.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <tenon/dtype.hpp>
#include <tenon/export.hpp>

namespace tenon {

using Shape = std::vector<std::int64_t>;   ///< extents; empty for a scalar
using Stride = std::vector<std::int64_t>;  ///< step per axis, in elements

/// How stored elements become logical ones. The default is "as they are".
struct Encoding {
  bool big_endian = false;  ///< swap the bytes of every element (of each half of a complex one)
  bool conjugate = false;   ///< lazy conj bit of PyTorch 2.x: negate the imaginary half
  bool negative = false;    ///< lazy neg bit of PyTorch 2.x: negate the value

  friend bool operator==(const Encoding&, const Encoding&) = default;
  bool is_plain() const { return !big_endian && !conjugate && !negative; }
};

/// A borrowed n-d array. Valid while the owner of `storage` lives; never returned by public functions.
///
/// Invariant (checked where views are made): rank(shape) = rank(stride), nothing is negative, and every element lies
/// within `storage`.
struct TensorView {
  DType dtype = DType::Float32;
  Shape shape;
  Stride stride;
  std::span<const std::byte> storage;  ///< the byte run that tensors may share
  std::uint64_t offset_bytes = 0;      ///< first element, from the start of `storage`
  Encoding encoding;
};

/// A TensorView that keeps its bytes alive; may outlive the Checkpoint it came from. Cheap to copy.
struct Tensor : TensorView {
  std::shared_ptr<const void> owner;
};

/// Product of the extents; 1 for a scalar. Throws Error Corrupt on a negative extent or when it passes 2^63-1.
TENON_API std::int64_t element_count(const Shape& shape);

/// Bytes of the dense tensor; sub-byte types are rounded up to whole bytes, block types to whole blocks; 0 for types
/// whose elements have no fixed width. Throws Error Corrupt when it passes 2^63-1.
TENON_API std::uint64_t byte_size(const Shape& shape, DType dtype);

/// Row-major strides of a dense tensor.
TENON_API Stride dense_stride(const Shape& shape);

/// True when the elements already stand dense, row-major and little-endian, so that their bytes can be used as they
/// are. Block types are used as they are whatever their byte order.
TENON_API bool is_dense(const TensorView& view);

/// Calls `take` with consecutive pieces of the contiguous, row-major, little-endian bytes of the tensor, conj and neg
/// resolved.
///
/// A dense tensor is handed over in pieces of its own storage (nothing is copied); others pass through a buffer of 256
/// KiB. O(elements) time, O(1) memory.
TENON_API void for_each_block(const TensorView& view, const std::function<void(std::span<const std::byte>)>& take);

/// Copies the dense bytes (see for_each_block) into `out`, whose size is byte_size(shape, dtype).
TENON_API void copy_dense(const TensorView& view, std::span<std::byte> out);

/// `row-major`, `channels_last`, `channels_last_3d`, `permuted` (dense in another order of axes), `strided` (with gaps,
/// repeats or backwards). Axes of extent 1 decide nothing; without elements a tensor is row-major.
TENON_API std::string_view layout_name(const Shape& shape, const Stride& stride);

/// A tensor whose equal elements stand elsewhere in memory on the other side. Harmless: loads and comparisons go by
/// index.
struct LayoutChange {
  std::string key;
  Shape shape;
  Stride from, to;
};

/// A dense tensor that owns `bytes`; their number must be byte_size(shape, dtype): another one is a bug of the caller
/// and throws Bug.
TENON_API Tensor make_tensor(DType dtype, Shape shape, std::vector<std::byte> bytes);

/// What a cast does to the values, measured before anything is written.
struct CastLoss {
  std::uint64_t elements = 0;
  std::uint64_t changed = 0;    ///< values that do not come back when cast to and fro
  std::uint64_t overflow = 0;   ///< finite values that become infinite or leave the range of the integer type
  std::uint64_t underflow = 0;  ///< non-zero values that become zero
  std::uint64_t nan = 0;        ///< NaN that the new type cannot hold
  double max_abs_error = 0;     ///< over finite results
  double max_rel_error = 0;
};

/// True when tenon converts values between these types: all float, integer, bool and complex types in whole bytes.
TENON_API bool can_cast(DType from, DType to);

/// Converts like PyTorch's Tensor.to: floats round to nearest even, float -> integer truncates, anything -> bool is `!=
/// 0`. Needs can_cast; throws Error Unsupported otherwise.
TENON_API Tensor cast(const TensorView& view, DType to);

/// True for the block types whose values tenon can compute: Q4_0, Q4_1, Q5_0, Q5_1, Q8_0, Q4_K, Q5_K, Q6_K.
TENON_API bool can_dequantize(DType dtype);

/// The values of a tensor of a block type as float32, dense. O(elements). Needs can_dequantize; throws Error
/// Unsupported otherwise.
TENON_API Tensor dequantized(const TensorView& view);

/// What cast(view, to) would do to the values, without making them. O(elements). Needs can_cast; throws Error
/// Unsupported otherwise.
TENON_API CastLoss cast_loss(const TensorView& view, DType to);

}  // namespace tenon
