// Samples of tensors: k elements gathered from anywhere in a strided view, read as float64.
#include <tenon/probe.hpp>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <utility>

#include <tenon/error.hpp>

#include "base/digest.hpp"

namespace tenon {
namespace {

constexpr std::int64_t kSamples = 64, kFingerprintElements = 1'024, kWholeInput = 4'096;

/// Byte offset of element `flat` (row-major) from the start of the storage.
std::uint64_t offset_of(const TensorView& view, std::int64_t flat, std::uint64_t element_bytes) {
  std::uint64_t elements = 0;
  for (std::size_t axis = view.shape.size(); axis-- > 0;) {
    elements += static_cast<std::uint64_t>(flat % view.shape[axis] * view.stride[axis]);
    flat /= view.shape[axis];
  }
  return view.offset_bytes + elements * element_bytes;
}

/// Elements floor(i * n / k) of the n, k = min(n, most); complex numbers as two.
std::vector<double> elements(const TensorView& view, std::int64_t most) {
  if (dtype_bits(view.dtype) % 8 != 0 || !can_cast(view.dtype, DType::Float64))
    throw Error(Code::Unsupported, {}, "a probe cannot hold this dtype", "numbers of whole bytes",
                std::string(dtype_name(view.dtype)));
  const auto width = static_cast<std::uint64_t>(dtype_bits(view.dtype) / 8);
  const std::int64_t count = element_count(view.shape), k = std::min(count, most);
  std::vector<std::byte> bytes(static_cast<std::size_t>(k) * width);
  for (std::int64_t i = 0; i < k; ++i) {
    // i * n / k without the product, which may pass 2^63
    const std::int64_t flat = i * (count / k) + i * (count % k) / k;
    std::memcpy(bytes.data() + static_cast<std::uint64_t>(i) * width,
                view.storage.data() + offset_of(view, flat, width), width);
  }
  Tensor gathered = make_tensor(view.dtype, {k}, std::move(bytes));
  gathered.encoding = view.encoding;
  const bool is_complex = dtype_kind(view.dtype) == DTypeKind::Complex;
  const Tensor wide = cast(gathered, is_complex ? DType::Complex128 : DType::Float64);
  std::vector<double> values(static_cast<std::size_t>(is_complex ? 2 * k : k));
  copy_dense(wide, std::as_writable_bytes(std::span(values)));
  return values;
}

double largest_finite(const std::vector<double>& values) {
  double largest = 0;
  for (const double value : values)
    if (std::isfinite(value)) largest = std::max(largest, std::abs(value));
  return largest;
}

/// Over all elements, a few thousand at a time.
double largest_magnitude(const TensorView& view) {
  constexpr std::size_t kBatch = 4'096;
  const auto width = static_cast<std::size_t>(dtype_bytes(view.dtype));
  double largest = 0;
  for_each_block(view, [&](std::span<const std::byte> block) {
    for (std::size_t at = 0; at < block.size(); at += kBatch * width) {
      const auto part = block.subspan(at, std::min(kBatch * width, block.size() - at));
      const Shape shape{static_cast<std::int64_t>(part.size() / width)};
      largest = std::max(largest, largest_finite(elements({view.dtype, shape, {1}, part, 0, {}}, shape[0])));
    }
  });
  return largest;
}

std::string digest(const TensorView& view) {
  base::Sha256 sha256;
  for_each_block(view, [&](std::span<const std::byte> block) { sha256.update(block); });
  return "sha256:" + sha256.hex();
}

}  // namespace

ProbeTensor probe_sample(std::string name, const TensorView& view) {
  ProbeTensor row;
  row.name = std::move(name);
  row.dtype = view.dtype;
  row.shape = view.shape;
  row.sample = elements(view, kSamples);
  row.scale = largest_finite(row.sample);
  return row;
}

ProbeTensor probe_output(std::string name, const TensorView& view) {
  ProbeTensor row = probe_sample(std::move(name), view);
  row.digest = digest(view);
  row.scale = std::max(row.scale, largest_magnitude(view));
  row.tolerance = probe_tolerance(view.dtype, row.scale);
  return row;
}

ProbeTensor probe_input(std::string name, const TensorView& view) {
  ProbeTensor row = probe_sample(std::move(name), view);
  row.digest = digest(view);
  if (element_count(view.shape) <= kWholeInput) row.values = elements(view, kWholeInput);
  return row;
}

Fingerprint fingerprint(std::string name, const TensorView& view) {
  Fingerprint print{std::move(name), 0, 0};
  for (const double value : elements(view, kFingerprintElements)) {
    print.sum += value;
    print.magnitude += std::abs(value);
  }
  return print;
}

void note_other_batch(Probe& probe) {
  if (probe.inputs.empty() || probe.inputs.front().shape.empty()) return;
  const std::int64_t rows = probe.inputs.front().shape.front();
  for (const ProbeTensor& output : probe.outputs)
    if (!output.shape.empty() && output.shape.front() != rows)
      probe.findings.push_back(std::to_string(rows) + " rows in, " + std::to_string(output.shape.front()) +
                               " rows out (output " + output.name + ")");
}

}  // namespace tenon
