// The table of element types.
#include <tenon/dtype.hpp>

#include <tenon/error.hpp>

#include <algorithm>
#include <array>
#include <utility>

namespace tenon {

namespace {

struct Row {
  DType dtype;
  std::string_view name;
  DTypeKind kind;
  int bits;
  DTypeBlock block = {};  ///< of block types
};

using enum DTypeKind;

// In the order of the enum, so that a look-up is an index; the static_assert below keeps it so.
constexpr Row kRows[] = {
    {DType::Float64, "float64", Float, 64},
    {DType::Float32, "float32", Float, 32},
    {DType::Float16, "float16", Float, 16},
    {DType::BFloat16, "bfloat16", Float, 16},
    {DType::Float8E4M3FN, "float8_e4m3fn", Float, 8},
    {DType::Float8E5M2, "float8_e5m2", Float, 8},
    {DType::Float8E4M3FNUZ, "float8_e4m3fnuz", Float, 8},
    {DType::Float8E5M2FNUZ, "float8_e5m2fnuz", Float, 8},
    {DType::Float8E8M0FNU, "float8_e8m0fnu", Float, 8},
    {DType::Float4E2M1FNx2, "float4_e2m1fn_x2", Bits, 8},
    {DType::Int64, "int64", Int, 64},
    {DType::Int32, "int32", Int, 32},
    {DType::Int16, "int16", Int, 16},
    {DType::Int8, "int8", Int, 8},
    {DType::UInt64, "uint64", UInt, 64},
    {DType::UInt32, "uint32", UInt, 32},
    {DType::UInt16, "uint16", UInt, 16},
    {DType::UInt8, "uint8", UInt, 8},
    {DType::Bool, "bool", DTypeKind::Bool, 8},
    {DType::Complex128, "complex128", Complex, 128},
    {DType::Complex64, "complex64", Complex, 64},
    {DType::Complex32, "complex32", Complex, 32},
    {DType::QInt8, "qint8", Quantized, 8},
    {DType::QUInt8, "quint8", Quantized, 8},
    {DType::QInt32, "qint32", Quantized, 32},
    {DType::QUInt4x2, "quint4x2", Quantized, 4},
    {DType::QUInt2x4, "quint2x4", Quantized, 2},
    {DType::Bits8, "bits8", Bits, 8},
    {DType::Bits16, "bits16", Bits, 16},
    {DType::Bits1x8, "bits1x8", Bits, 8},
    {DType::Bits2x4, "bits2x4", Bits, 8},
    {DType::Bits4x2, "bits4x2", Bits, 8},
    {DType::UInt1, "uint1", Bits, 8},
    {DType::UInt2, "uint2", Bits, 8},
    {DType::UInt3, "uint3", Bits, 8},
    {DType::UInt4, "uint4", Bits, 8},
    {DType::UInt5, "uint5", Bits, 8},
    {DType::UInt6, "uint6", Bits, 8},
    {DType::UInt7, "uint7", Bits, 8},
    {DType::Int1, "int1", Bits, 8},
    {DType::Int2, "int2", Bits, 8},
    {DType::Int3, "int3", Bits, 8},
    {DType::Int4, "int4", Bits, 8},
    {DType::Int5, "int5", Bits, 8},
    {DType::Int6, "int6", Bits, 8},
    {DType::Int7, "int7", Bits, 8},
    {DType::F4, "F4", Bits, 4},
    {DType::F6E2M3, "F6_E2M3", Bits, 6},
    {DType::F6E3M2, "F6_E3M2", Bits, 6},
    {DType::String, "string", Text, 0},
    {DType::Q4_0, "Q4_0", Quantized, 0, {32, 18}},
    {DType::Q4_1, "Q4_1", Quantized, 0, {32, 20}},
    {DType::Q5_0, "Q5_0", Quantized, 0, {32, 22}},
    {DType::Q5_1, "Q5_1", Quantized, 0, {32, 24}},
    {DType::Q8_0, "Q8_0", Quantized, 0, {32, 34}},
    {DType::Q8_1, "Q8_1", Quantized, 0, {32, 40}},
    {DType::Q2_K, "Q2_K", Quantized, 0, {256, 84}},
    {DType::Q3_K, "Q3_K", Quantized, 0, {256, 110}},
    {DType::Q4_K, "Q4_K", Quantized, 0, {256, 144}},
    {DType::Q5_K, "Q5_K", Quantized, 0, {256, 176}},
    {DType::Q6_K, "Q6_K", Quantized, 0, {256, 210}},
    {DType::Q8_K, "Q8_K", Quantized, 0, {256, 292}},
    {DType::IQ2_XXS, "IQ2_XXS", Quantized, 0, {256, 66}},
    {DType::IQ2_XS, "IQ2_XS", Quantized, 0, {256, 74}},
    {DType::IQ3_XXS, "IQ3_XXS", Quantized, 0, {256, 98}},
    {DType::IQ1_S, "IQ1_S", Quantized, 0, {256, 50}},
    {DType::IQ4_NL, "IQ4_NL", Quantized, 0, {32, 18}},
    {DType::IQ3_S, "IQ3_S", Quantized, 0, {256, 110}},
    {DType::IQ2_S, "IQ2_S", Quantized, 0, {256, 82}},
    {DType::IQ4_XS, "IQ4_XS", Quantized, 0, {256, 136}},
    {DType::IQ1_M, "IQ1_M", Quantized, 0, {256, 56}},
    {DType::TQ1_0, "TQ1_0", Quantized, 0, {256, 54}},
    {DType::TQ2_0, "TQ2_0", Quantized, 0, {256, 66}},
    {DType::MXFP4, "MXFP4", Quantized, 0, {32, 17}},
    {DType::NVFP4, "NVFP4", Quantized, 0, {64, 36}},
    {DType::Q1_0, "Q1_0", Quantized, 0, {128, 18}},
    {DType::Unknown, "unknown", Bits, 0},
};

constexpr bool rows_follow_the_enum() {
  for (std::size_t i = 0; i < std::size(kRows); ++i)
    if (static_cast<std::size_t>(kRows[i].dtype) != i) return false;
  return true;
}
static_assert(rows_follow_the_enum());

constexpr std::pair<std::string_view, DType> kAliases[] = {
    {"double", DType::Float64},   {"float", DType::Float32},      {"half", DType::Float16},
    {"long", DType::Int64},       {"int", DType::Int32},          {"short", DType::Int16},
    {"cfloat", DType::Complex64}, {"cdouble", DType::Complex128}, {"chalf", DType::Complex32},
};

const Row& row(DType dtype) {
  const auto index = static_cast<std::size_t>(dtype);
  TENON_ASSERT(index < std::size(kRows));
  return kRows[index];
}

}  // namespace

std::string_view dtype_name(DType dtype) { return row(dtype).name; }
DTypeKind dtype_kind(DType dtype) { return row(dtype).kind; }
int dtype_bits(DType dtype) { return row(dtype).bits; }
std::int64_t dtype_bytes(DType dtype) { return row(dtype).bits % 8 == 0 ? row(dtype).bits / 8 : 0; }

bool is_block_dtype(DType dtype) { return row(dtype).block.elements > 1; }
DTypeBlock dtype_block(DType dtype) {
  return is_block_dtype(dtype) ? row(dtype).block : DTypeBlock{1, dtype_bytes(dtype)};
}

std::optional<DType> parse_dtype(std::string_view name) {
  const auto known = std::find_if(std::begin(kRows), std::end(kRows), [&](const Row& r) { return r.name == name; });
  if (known != std::end(kRows)) return known->dtype;
  const auto alias =
      std::find_if(std::begin(kAliases), std::end(kAliases), [&](const auto& a) { return a.first == name; });
  if (alias != std::end(kAliases)) return alias->second;
  return std::nullopt;
}

}  // namespace tenon
