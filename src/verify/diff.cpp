// diff: two checkpoints by name, bit for bit, in pieces.
#include <tenon/verify.hpp>

#include <cstddef>
#include <cstring>
#include <optional>
#include <span>

#include <tenon/tensor.hpp>

#include "tensor/words.hpp"
#include "verify/distance.hpp"
#include "verify/slices.hpp"

namespace tenon {

namespace {

using Bytes = std::span<const std::byte>;

bool same_bytes(const TensorView& a, const TensorView& b) {
  bool same = true;
  verification::for_each_slice(a, b, [&](Bytes x, Bytes y) {
    same = same && x.size() == y.size() && (x.empty() || std::memcmp(x.data(), y.data(), x.size()) == 0);
  });
  return same;
}

void measure(const TensorView& a, const TensorView& b, TensorChange& change) {
  const bool comparable = a.dtype == b.dtype || can_cast(a.dtype, b.dtype);
  if (a.shape != b.shape || !comparable) return;
  verification::Distance distance(a.dtype, b.dtype);
  verification::for_each_slice(a, b, [&](Bytes x, Bytes y) { distance.add(x, y); });
  change.max_abs = distance.max_abs();
  change.rel_l2 = distance.rel_l2();
  change.cosine = distance.cosine();
  change.changed_elements = distance.changed_elements();
}

/// What differs between two tensors of one name, or nothing.
std::optional<TensorChange> compare(const Checkpoint& a, std::size_t in_a, const Checkpoint& b, std::size_t in_b) {
  const TensorInfo& info_a = a.tensors()[in_a];
  const TensorInfo& info_b = b.tensors()[in_b];
  TensorChange change{.key = info_a.name,
                      .shape_a = info_a.shape,
                      .shape_b = info_b.shape,
                      .dtype_a = info_a.dtype,
                      .dtype_b = info_b.dtype,
                      .max_abs = {},
                      .rel_l2 = {},
                      .cosine = {},
                      .changed_elements = {}};
  const bool same_type = info_a.shape == info_b.shape && info_a.dtype == info_b.dtype;
  const bool has_a = info_a.storage != kNoStorage, has_b = info_b.storage != kNoStorage;
  if (!has_a || !has_b) return same_type && has_a == has_b ? std::nullopt : std::optional(change);
  if (info_a.shape != info_b.shape) return change;  // no value needs to be read
  const Tensor tensor_a = a.tensor(in_a), tensor_b = b.tensor(in_b);
  if (same_type && same_bytes(tensor_a, tensor_b)) return std::nullopt;
  measure(tensor_a, tensor_b, change);
  return change;
}

void note_layout(const TensorInfo& a, const TensorInfo& b, DiffReport& report) {
  const bool both = a.storage != kNoStorage && b.storage != kNoStorage && a.shape == b.shape;
  if (both && !tensor::same_layout(a.shape, a.stride, b.stride))
    report.layout_changes.push_back({a.name, a.shape, a.stride, b.stride});
}

}  // namespace

DiffReport diff(const Checkpoint& a, const Checkpoint& b) {
  DiffReport report;
  for (std::size_t i = 0; i < a.tensors().size(); ++i) {
    const std::string& name = a.tensors()[i].name;
    const auto in_b = b.find(name);
    if (!in_b) {
      report.only_a.push_back(name);
      continue;
    }
    note_layout(a.tensors()[i], b.tensors()[*in_b], report);
    if (auto change = compare(a, i, b, *in_b))
      report.changed.push_back(std::move(*change));
    else
      ++report.identical;
  }
  for (const TensorInfo& info : b.tensors())
    if (!a.find(info.name)) report.only_b.push_back(info.name);
  report.same = report.only_a.empty() && report.only_b.empty() && report.changed.empty();
  return report;
}

}  // namespace tenon
