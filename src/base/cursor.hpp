// Cursor: reads fields from bytes that somebody else may have forged. It knows the file, the member, the offset and the
// bytes that are left; every read names its field, so every error is located for free.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include <tenon/error.hpp>

namespace tenon::base {

class Cursor {
 public:
  /// `origin` is the offset of `bytes` within the file or member, for messages. The bytes must outlive the cursor.
  Cursor(std::span<const std::byte> bytes, std::string file, std::string member = {}, std::uint64_t origin = 0);

  std::uint64_t position() const { return position_; }  ///< from the start of `bytes`
  std::uint64_t remaining() const { return bytes_.size() - position_; }
  bool at_end() const { return remaining() == 0; }
  std::span<const std::byte> rest() const { return bytes_.subspan(position_); }

  // Little-endian integers. Throw Error Corrupt when the bytes end first.
  std::uint8_t u8(std::string_view field);
  std::uint16_t u16(std::string_view field);
  std::uint32_t u32(std::string_view field);
  std::uint64_t u64(std::string_view field);
  std::int32_t i32(std::string_view field);
  std::int64_t i64(std::string_view field);
  double f64_big_endian(std::string_view field);

  /// The next `count` bytes, not copied.
  std::span<const std::byte> bytes(std::uint64_t count, std::string_view field);
  std::string_view text(std::uint64_t count, std::string_view field);
  /// Up to the next newline, which is read and left out.
  std::string_view line(std::string_view field);
  void skip(std::uint64_t count, std::string_view field);
  void seek(std::uint64_t position);  ///< position <= size; Bug otherwise

  /// An Error at the current position. `at` moves it back to where the wrong field began.
  Error error(Code code, std::string what, std::string expected = {}, std::string found = {},
              std::string next = {}) const;
  Error error_at(std::uint64_t position, Code code, std::string what, std::string expected = {}, std::string found = {},
                 std::string next = {}) const;

  /// Where the byte at `position` is.
  Where where(std::uint64_t position) const { return {file_, member_, {}, origin_ + position}; }

  const std::string& file() const { return file_; }
  const std::string& member() const { return member_; }

 private:
  void need(std::uint64_t count, std::string_view field) const;

  std::span<const std::byte> bytes_;
  std::uint64_t position_ = 0;
  std::uint64_t origin_ = 0;
  std::string file_;
  std::string member_;
};

inline std::string_view as_text(std::span<const std::byte> bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}
inline std::span<const std::byte> as_bytes(std::string_view text) {
  return {reinterpret_cast<const std::byte*>(text.data()), text.size()};
}

}  // namespace tenon::base
