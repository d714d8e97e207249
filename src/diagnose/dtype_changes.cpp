#include "diagnose/dtype_changes.hpp"

#include <optional>
#include <utility>

#include "tensor/words.hpp"

namespace tenon::diagnosis {
namespace {

/// What a type can hold: whole numbers of `digits` bits with or without sign; floats of `digits` significant bits
/// between the powers of two `least` (of the smallest subnormal) and `most`.
struct Range {
  enum class Kind { Whole, Float } kind = Kind::Float;
  int digits = 0;
  bool is_signed = true;
  int least = 0, most = 0;
  bool has_infinity = true;
  bool has_negative_zero = true;
};

constexpr Range whole(int digits, bool is_signed) {
  return {Range::Kind::Whole, digits, is_signed, 0, 0, false, false};
}
constexpr Range floating(int digits, int least, int most, bool has_infinity = true, bool has_negative_zero = true) {
  return {Range::Kind::Float, digits, true, least, most, has_infinity, has_negative_zero};
}

/// Complex types count as their halves.
constexpr std::pair<DType, Range> kRanges[] = {
    {DType::Float64, floating(53, -1074, 1023)},
    {DType::Complex128, floating(53, -1074, 1023)},
    {DType::Float32, floating(24, -149, 127)},
    {DType::Complex64, floating(24, -149, 127)},
    {DType::Float16, floating(11, -24, 15)},
    {DType::Complex32, floating(11, -24, 15)},
    {DType::BFloat16, floating(8, -133, 127)},
    {DType::Float8E5M2, floating(3, -16, 15)},
    {DType::Float8E4M3FN, floating(4, -9, 8, false)},
    {DType::Float8E5M2FNUZ, floating(3, -17, 15, false, false)},
    {DType::Float8E4M3FNUZ, floating(4, -10, 7, false, false)},
    {DType::Int64, whole(63, true)},
    {DType::Int32, whole(31, true)},
    {DType::Int16, whole(15, true)},
    {DType::Int8, whole(7, true)},
    {DType::UInt64, whole(64, false)},
    {DType::UInt32, whole(32, false)},
    {DType::UInt16, whole(16, false)},
    {DType::UInt8, whole(8, false)},
    {DType::Bool, whole(1, false)},
};

/// Nothing for types whose values tenon does not convert.
std::optional<Range> range_of(DType dtype) {
  for (const auto& [known, range] : kRanges)
    if (known == dtype) return range;
  return std::nullopt;
}

/// The tensor of the checkpoint that stands at `index` of the state, if its values are at hand as they are.
std::optional<Tensor> values_of(const Case& facts, std::size_t index) {
  if (!facts.checkpoint.values || facts.state.tensors()[index].recipe) return std::nullopt;
  const auto& name = facts.checkpoint.value_names[facts.state.tensors()[index].source];
  const auto found = facts.checkpoint.values->find(name);
  if (!found || facts.checkpoint.values->tensors()[*found].storage == kNoStorage) return std::nullopt;
  return facts.checkpoint.values->tensor(*found);
}

}  // namespace

bool holds_all(DType to, DType from) {
  const auto a = range_of(from), b = range_of(to);
  if (!a || !b) return false;
  const bool to_complex = dtype_kind(to) == DTypeKind::Complex;
  if (dtype_kind(from) == DTypeKind::Complex && !to_complex) return false;
  if (b->kind == Range::Kind::Whole) {
    if (a->kind == Range::Kind::Float || (a->is_signed && !b->is_signed)) return false;
    return a->digits <= b->digits;
  }
  if (a->kind == Range::Kind::Whole) return a->digits <= b->digits && a->digits <= b->most;
  return a->digits <= b->digits && a->least >= b->least && a->most <= b->most &&
         (!a->has_infinity || b->has_infinity) && (!a->has_negative_zero || b->has_negative_zero);
}

std::vector<DTypeFact> dtype_changes(const Case& facts) {
  std::vector<DTypeFact> changes;
  for (const Pair& pair : facts.gap.matched) {
    const auto from = facts.have(pair.state).dtype, to = facts.want(pair.target).dtype;
    if (!from || !to || *from == *to) continue;
    DTypeFact fact{{facts.want(pair.target).name, *from, *to, {}}, holds_all(*to, *from)};
    const auto values = can_cast(*from, *to) ? values_of(facts, pair.state) : std::nullopt;
    if (values) {
      fact.change.loss = cast_loss(*values, *to);
      fact.survives = tensor::is_lossless(*fact.change.loss);
    }
    changes.push_back(std::move(fact));
  }
  return changes;
}

}  // namespace tenon::diagnosis
