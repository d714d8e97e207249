// The wire form of protocol buffers: fields one behind the other, told apart by number and wire type alone.
//
//   tag     varint: field number << 3 | wire type
//   0       varint, seven bits a byte, least first          1, 5    eight or four bytes, little-endian
//   2       varint length, bytes (text, messages, packed)   3 .. 4  a group: fields up to its end tag; out of use,
//   skipped
//
// Source: Protocol Buffers documentation, "Encoding".
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include <tenon/error.hpp>
#include <tenon/limits.hpp>

namespace tenon::container {

enum class WireType : std::uint8_t { Varint = 0, Fixed64 = 1, Bytes = 2, GroupStart = 3, GroupEnd = 4, Fixed32 = 5 };

struct WireField {
  std::uint32_t number = 0;
  WireType type = WireType::Varint;
  std::uint64_t value = 0;           ///< Varint, Fixed64, Fixed32
  std::span<const std::byte> bytes;  ///< Bytes
  std::uint64_t at = 0;              ///< of the tag, in the file
  std::uint64_t bytes_at = 0;        ///< of `bytes`, in the file

  std::string_view text() const { return {reinterpret_cast<const char*>(bytes.data()), bytes.size()}; }
};

/// Reads the fields of one message. Cheap to make: one for each message within a message.
class WireReader {
 public:
  /// `message` begins at byte `origin` of `file`; both must outlive the reader.
  WireReader(std::span<const std::byte> message, const std::string& file, std::uint64_t origin, const Limits& limits)
      : message_(message), file_(file), origin_(origin), most_groups_(limits.protobuf_depth) {}

  /// The next field, groups left out, or nothing at the end.
  /// Throws Error: Corrupt (cut short, a wire type or number that does not exist), Limit (groups within groups).
  std::optional<WireField> next();

  /// The next varint where no tag is: in packed fields.
  std::uint64_t varint();
  bool at_end() const { return position_ == message_.size(); }

  Error error(std::uint64_t at, Code code, std::string what, std::string expected = {}, std::string found = {}) const;

 private:
  void read_value(WireField& field);
  std::uint64_t fixed(std::uint64_t width);

  std::span<const std::byte> message_;
  const std::string& file_;
  std::uint64_t origin_;
  std::uint64_t most_groups_;
  std::uint64_t position_ = 0;
};

}  // namespace tenon::container
