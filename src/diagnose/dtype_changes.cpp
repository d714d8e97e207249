#include "diagnose/dtype_changes.hpp"

#include <optional>

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

Range whole(int digits, bool is_signed) { return {Range::Kind::Whole, digits, is_signed, 0, 0, false, false}; }
Range floating(int digits, int least, int most) { return {Range::Kind::Float, digits, true, least, most, true, true}; }

/// Complex types count as their halves. Nothing for types whose values tenon does not convert.
std::optional<Range> range_of(DType dtype) {
  switch (dtype) {
    case DType::Float64:
    case DType::Complex128: return floating(53, -1074, 1023);
    case DType::Float32:
    case DType::Complex64: return floating(24, -149, 127);
    case DType::Float16:
    case DType::Complex32: return floating(11, -24, 15);
    case DType::BFloat16: return floating(8, -133, 127);
    case DType::Float8E5M2: return floating(3, -16, 15);
    case DType::Float8E4M3FN: return Range{Range::Kind::Float, 4, true, -9, 8, false, true};
    case DType::Float8E5M2FNUZ: return Range{Range::Kind::Float, 3, true, -17, 15, false, false};
    case DType::Float8E4M3FNUZ: return Range{Range::Kind::Float, 4, true, -10, 7, false, false};
    case DType::Int64: return whole(63, true);
    case DType::Int32: return whole(31, true);
    case DType::Int16: return whole(15, true);
    case DType::Int8: return whole(7, true);
    case DType::UInt64: return whole(64, false);
    case DType::UInt32: return whole(32, false);
    case DType::UInt16: return whole(16, false);
    case DType::UInt8: return whole(8, false);
    case DType::Bool: return whole(1, false);
    case DType::Float8E8M0FNU:
    case DType::Float4E2M1FNx2:
    case DType::QInt8:
    case DType::QUInt8:
    case DType::QInt32:
    case DType::QUInt4x2:
    case DType::QUInt2x4:
    case DType::Bits8:
    case DType::Bits16:
    case DType::Bits1x8:
    case DType::Bits2x4:
    case DType::Bits4x2:
    case DType::UInt1:
    case DType::UInt2:
    case DType::UInt3:
    case DType::UInt4:
    case DType::UInt5:
    case DType::UInt6:
    case DType::UInt7:
    case DType::Int1:
    case DType::Int2:
    case DType::Int3:
    case DType::Int4:
    case DType::Int5:
    case DType::Int6:
    case DType::Int7:
    case DType::F4:
    case DType::F6E2M3:
    case DType::F6E3M2:
    case DType::Q4_0:
    case DType::Q4_1:
    case DType::Q5_0:
    case DType::Q5_1:
    case DType::Q8_0:
    case DType::Q8_1:
    case DType::Q2_K:
    case DType::Q3_K:
    case DType::Q4_K:
    case DType::Q5_K:
    case DType::Q6_K:
    case DType::Q8_K:
    case DType::IQ2_XXS:
    case DType::IQ2_XS:
    case DType::IQ3_XXS:
    case DType::IQ1_S:
    case DType::IQ4_NL:
    case DType::IQ3_S:
    case DType::IQ2_S:
    case DType::IQ4_XS:
    case DType::IQ1_M:
    case DType::TQ1_0:
    case DType::TQ2_0:
    case DType::MXFP4:
    case DType::NVFP4:
    case DType::Q1_0:
    case DType::Unknown:
    case DType::String: break;
  }
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
