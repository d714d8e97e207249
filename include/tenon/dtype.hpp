// DType: the element types that checkpoints hold, with the names PyTorch gives them.
//
// Source of the torch names: torch/storage.py and c10/core/ScalarType.h (1.13 to 2.x); of F4, F6_*: the safetensors
// format; of the block types: ggml, docs/gguf.md and gguf-py/gguf/constants.py.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include <tenon/export.hpp>

namespace tenon {

enum class DType : std::uint8_t {
  Float64,
  Float32,
  Float16,
  BFloat16,
  Float8E4M3FN,
  Float8E5M2,
  Float8E4M3FNUZ,
  Float8E5M2FNUZ,
  Float8E8M0FNU,
  Float4E2M1FNx2,
  Int64,
  Int32,
  Int16,
  Int8,
  UInt64,
  UInt32,
  UInt16,
  UInt8,
  Bool,
  Complex128,
  Complex64,
  Complex32,
  QInt8,
  QUInt8,
  QInt32,
  QUInt4x2,
  QUInt2x4,
  Bits8,
  Bits16,
  Bits1x8,
  Bits2x4,
  Bits4x2,
  UInt1,
  UInt2,
  UInt3,
  UInt4,
  UInt5,
  UInt6,
  UInt7,
  Int1,
  Int2,
  Int3,
  Int4,
  Int5,
  Int6,
  Int7,
  F4,
  F6E2M3,
  F6E3M2,
  String,
  // ggml's block types, under ggml's names: so many elements are one block of so many bytes (dtype_block).
  Q4_0,
  Q4_1,
  Q5_0,
  Q5_1,
  Q8_0,
  Q8_1,
  Q2_K,
  Q3_K,
  Q4_K,
  Q5_K,
  Q6_K,
  Q8_K,
  IQ2_XXS,
  IQ2_XS,
  IQ3_XXS,
  IQ1_S,
  IQ4_NL,
  IQ3_S,
  IQ2_S,
  IQ4_XS,
  IQ1_M,
  TQ1_0,
  TQ2_0,
  MXFP4,
  NVFP4,
  Q1_0,
  Unknown,  ///< a type that only the file's writer knows: its elements are bytes that nobody can count
};

/// What arithmetic on elements means; decides which conversions exist.
enum class DTypeKind : std::uint8_t { Float, Int, UInt, Bool, Complex, Quantized, Bits, Text };

/// Contract name, e.g. `float32`, `float8_e4m3fn`, `F6_E2M3`.
TENON_API std::string_view dtype_name(DType dtype);

/// Inverse of dtype_name; also takes torch's aliases (`float`, `double`, `half`, `long`, `int`, `short`, `cfloat`,
/// ...). Empty for an unknown name.
TENON_API std::optional<DType> parse_dtype(std::string_view name);

TENON_API DTypeKind dtype_kind(DType dtype);

/// Bits of one element as stored: 4 and 6 for the sub-byte safetensors types, 4 and 2 for PyTorch's packed quint4x2 and
/// quint2x4, a multiple of 8 for all others; 0 for String and Unknown, whose elements have no fixed width, and for
/// block types.
TENON_API int dtype_bits(DType dtype);

/// Bytes of one element; 0 where elements are no whole number of bytes (F4, F6_*, quint4x2, quint2x4, block types,
/// String, Unknown).
TENON_API std::int64_t dtype_bytes(DType dtype);

/// One block: `elements` neighbours along the last axis, stored together in `bytes`.
struct DTypeBlock {
  std::int64_t elements = 1;
  std::int64_t bytes = 0;
};

/// The block of ggml's block types; {1, dtype_bytes} for all others.
TENON_API DTypeBlock dtype_block(DType dtype);

/// True for ggml's block types: their tensors are always dense, and their bytes are used as whole blocks only.
TENON_API bool is_block_dtype(DType dtype);

}  // namespace tenon
