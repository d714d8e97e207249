// Conversion between dtypes, and what it does to the values, in two steps through a wide number:
// element -> wide (exact) -> element. Two dispatches, then loops that cannot fail.
#include <tenon/tensor.hpp>

#include <algorithm>
#include <cmath>
#include <string>
#include <utility>

#include "tensor/codecs.hpp"

namespace tenon {

namespace {

using tensor::Wide;

bool has_values(DType dtype) {
  switch (dtype_kind(dtype)) {
    case DTypeKind::Float: return dtype != DType::Float8E8M0FNU;
    case DTypeKind::Int:
    case DTypeKind::UInt:
    case DTypeKind::Bool:
    case DTypeKind::Complex: return true;
    case DTypeKind::Quantized:
    case DTypeKind::Bits:
    case DTypeKind::Text: return false;
  }
  throw Bug("unknown DTypeKind");
}

bool is_wide_integer(DType dtype) { return dtype == DType::Int64 || dtype == DType::UInt64; }

void require_cast(DType from, DType to) {
  if (!can_cast(from, to))
    throw Error(Code::Unsupported, Where{}, "values of this dtype cannot be converted",
                "float, integer, bool or complex types",
                std::string(dtype_name(from)) + " -> " + std::string(dtype_name(to)));
}

constexpr std::size_t kBatch = 4096;  // elements; their wide forms stay in the L1 and L2 caches

/// Calls `take` with batches of decoded elements, in row-major order.
template <class W, class Take>
void for_each_batch(const TensorView& view, Take take) {
  std::vector<Wide<W>> batch(kBatch);
  const auto width = static_cast<std::size_t>(dtype_bytes(view.dtype));
  for_each_block(view, [&](std::span<const std::byte> block) {
    for (std::size_t at = 0; at < block.size();) {
      const std::size_t count = std::min(kBatch, (block.size() - at) / width);
      const std::byte* const from = block.data() + at;
      tensor::dispatch(view.dtype, [&]<class From>() {
        for (std::size_t i = 0; i < count; ++i) batch[i] = tensor::decode<From, W>(from + i * From::kBytes);
      });
      take(std::span<const Wide<W>>(batch.data(), count));
      at += count * width;
    }
  });
}

template <class W>
void cast_into(const TensorView& view, DType to, std::byte* out) {
  for_each_batch<W>(view, [&](std::span<const Wide<W>> batch) {
    tensor::dispatch(to, [&]<class To>() {
      for (const Wide<W>& value : batch) {
        tensor::encode<To>(value, out);
        out += To::kBytes;
      }
    });
  });
}

template <class W>
bool same(W a, W b) {
  return a == b || (std::isnan(a) && std::isnan(b));
}

/// Adds what one value lost on its way to `after`.
template <class W>
void count_loss(const Wide<W>& before, const Wide<W>& after, bool to_integer, CastLoss& loss) {
  if (same(before.real, after.real) && same(before.imaginary, after.imaginary)) return;
  ++loss.changed;
  const bool was_nan = std::isnan(before.real) || std::isnan(before.imaginary);
  const bool was_finite = std::isfinite(before.real) && std::isfinite(before.imaginary);
  const bool is_finite = std::isfinite(after.real) && std::isfinite(after.imaginary);
  if (was_nan) {
    ++loss.nan;
    return;
  }
  const W error = std::hypot(before.real - after.real, before.imaginary - after.imaginary);
  const W size = std::hypot(before.real, before.imaginary);
  if (!was_finite || !is_finite || (to_integer && error >= 1)) ++loss.overflow;
  if (after.real == 0 && after.imaginary == 0 && size != 0) ++loss.underflow;
  if (!was_finite || !is_finite) return;
  loss.max_abs_error = std::max(loss.max_abs_error, static_cast<double>(error));
  if (size != 0) loss.max_rel_error = std::max(loss.max_rel_error, static_cast<double>(error / size));
}

template <class W>
CastLoss measure(const TensorView& view, DType to) {
  CastLoss loss;
  for_each_batch<W>(view, [&](std::span<const Wide<W>> batch) {
    tensor::dispatch(to, [&]<class To>() {
      std::byte element[To::kBytes];
      for (const Wide<W>& before : batch) {
        tensor::encode<To>(before, element);
        count_loss(before, tensor::decode<To, W>(element), To::kIsInteger, loss);
      }
    });
    loss.elements += batch.size();
  });
  return loss;
}

}  // namespace

bool can_cast(DType from, DType to) { return has_values(from) && has_values(to); }

Tensor cast(const TensorView& view, DType to) {
  require_cast(view.dtype, to);
  std::vector<std::byte> bytes(byte_size(view.shape, to));
  // double holds every type exactly but the 64-bit integers.
  if (is_wide_integer(view.dtype) || is_wide_integer(to))
    cast_into<long double>(view, to, bytes.data());
  else
    cast_into<double>(view, to, bytes.data());
  return make_tensor(to, view.shape, std::move(bytes));
}

CastLoss cast_loss(const TensorView& view, DType to) {
  require_cast(view.dtype, to);
  return is_wide_integer(view.dtype) || is_wide_integer(to) ? measure<long double>(view, to)
                                                            : measure<double>(view, to);
}

}  // namespace tenon
