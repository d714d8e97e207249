// diff: two checkpoints by name, or by what match/ finds, bit for bit, in pieces.
#include <tenon/verify.hpp>

#include <cstddef>
#include <cstring>
#include <optional>
#include <span>

#include <tenon/listing.hpp>
#include <tenon/tensor.hpp>

#include "base/meter.hpp"
#include "base/parallel.hpp"
#include "match/match.hpp"
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
  const auto has_values = [](const TensorInfo& info) {
    return info.storage != kNoStorage && info.dtype != DType::Unknown;
  };
  const bool has_a = has_values(info_a), has_b = has_values(info_b);
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

std::uint64_t bytes_of(const TensorInfo& info) {
  return info.dtype == DType::Unknown ? 0 : byte_size(info.shape, info.dtype);
}

/// For each tensor of `a` the index of its partner in `b`, or nothing.
using Partners = std::vector<std::optional<std::size_t>>;

Partners by_name(const Checkpoint& a, const Checkpoint& b) {
  Partners partners;
  for (const TensorInfo& info : a.tensors()) partners.push_back(b.find(info.name));
  return partners;
}

/// Adds those that the matcher is sure of and that hold their values in one order. They go before equal names, which
/// mean nothing in a row that was numbered anew.
void add_matched(const Checkpoint& a, const Checkpoint& b, Partners& partners, DiffReport& report) {
  const auto matching = match::match(list(a), list(b));
  std::vector<bool> is_renamed(a.tensors().size(), false), is_taken(b.tensors().size(), false);
  for (const match::Match& match : matching.matches) {
    if (!match.apply || match.how != match::How::Rename) continue;
    const std::size_t from = match.from[0];
    partners[from] = match.to;
    is_renamed[from] = is_taken[match.to] = true;
    report.renamed.push_back({a.tensors()[from].name, b.tensors()[match.to].name});
  }
  for (std::size_t i = 0; i < partners.size(); ++i)
    if (!is_renamed[i] && partners[i] && is_taken[*partners[i]]) partners[i].reset();
}

}  // namespace

DiffReport diff(const Checkpoint& a, const Checkpoint& b, DiffNames names, const Progress& progress) {
  DiffReport report;
  Partners partners = by_name(a, b);
  if (names == DiffNames::Matched) add_matched(a, b, partners, report);
  // Bytes are looked at on two threads, each tensor's answer in a slot of its own; the report is put together in order.
  std::vector<std::optional<TensorChange>> changes(partners.size());
  std::uint64_t all_bytes = 0;
  for (std::size_t i = 0; i < partners.size(); ++i) all_bytes += partners[i] ? bytes_of(a.tensors()[i]) : 0;
  base::Meter meter(progress, all_bytes);
  base::parallel_for(partners.size(), [&](std::size_t i) {
    if (!partners[i]) return;
    changes[i] = compare(a, i, b, *partners[i]);
    meter.add(bytes_of(a.tensors()[i]));
  });
  std::vector<bool> is_partner(b.tensors().size(), false);
  for (std::size_t i = 0; i < partners.size(); ++i) {
    if (!partners[i]) {
      report.only_a.push_back(a.tensors()[i].name);
      continue;
    }
    is_partner[*partners[i]] = true;
    note_layout(a.tensors()[i], b.tensors()[*partners[i]], report);
    if (changes[i])
      report.changed.push_back(std::move(*changes[i]));
    else
      ++report.identical;
  }
  for (std::size_t j = 0; j < is_partner.size(); ++j)
    if (!is_partner[j]) report.only_b.push_back(b.tensors()[j].name);
  report.same = report.only_a.empty() && report.only_b.empty() && report.changed.empty();
  return report;
}

}  // namespace tenon
