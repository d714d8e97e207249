// The fields of a GGUF file, for its reader and its scan: integers in the byte order and the widths of the file, and
// what its numbers for types mean.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

#include <tenon/dtype.hpp>

#include "base/cursor.hpp"
#include "base/limit_error.hpp"

namespace tenon::formats {

/// Types of values in the metadata, as numbered in the file.
enum class GgufValueType : std::uint32_t { U8, I8, U16, I16, U32, I32, F32, Bool, String, Array, U64, I64, F64 };
inline constexpr std::uint32_t kGgufValueTypes = 13;

std::string_view gguf_type_name(GgufValueType type);
/// 0 for strings and arrays, which have no fixed width.
std::uint64_t gguf_value_bytes(GgufValueType type);

/// The dtype of a tensor; nothing for a number that is not known.
std::optional<DType> gguf_dtype(std::uint32_t type);
/// The name of a type that ggml had once; "" for all others.
std::string_view gguf_removed_type(std::uint32_t type);

class GgufFields {
 public:
  /// Reads magic number and version. Throws Error: Corrupt (cut), Unsupported (another version).
  explicit GgufFields(base::Cursor in);

  std::uint32_t version() const { return version_; }
  bool big_endian() const { return big_endian_; }
  base::Cursor& in() { return in_; }
  const base::Cursor& in() const { return in_; }

  std::uint16_t u16(std::string_view field);
  std::uint32_t u32(std::string_view field);
  std::uint64_t u64(std::string_view field);

  /// A count, a length or an extent.
  std::uint64_t count(std::string_view field) { return version_ == 1 ? u32(field) : u64(field); }
  std::uint64_t count_bytes() const { return version_ == 1 ? 4 : 8; }
  std::string_view text(std::string_view field);

  /// A count of things that take `least_bytes` each: checked against the bytes left and `limit`.
  std::uint64_t count_of(std::string_view things, std::uint64_t least_bytes, base::NamedLimit limit);

 private:
  base::Cursor in_;
  std::uint32_t version_ = 0;
  bool big_endian_ = false;
};

}  // namespace tenon::formats
