#include "base/cursor.hpp"

#include <bit>
#include <utility>

#include "base/text.hpp"

namespace tenon::base {

namespace {

template <class Unsigned>
Unsigned little_endian(std::span<const std::byte> bytes) {
  Unsigned number = 0;
  for (std::size_t i = 0; i < sizeof(Unsigned); ++i)
    number = static_cast<Unsigned>(number | (static_cast<Unsigned>(bytes[i]) << (8 * i)));
  return number;
}

}  // namespace

Cursor::Cursor(std::span<const std::byte> bytes, std::string file, std::string member, std::uint64_t origin)
    : bytes_(bytes), origin_(origin), file_(std::move(file)), member_(std::move(member)) {}

void Cursor::need(std::uint64_t count, std::string_view field) const {
  if (count <= remaining()) return;
  throw error(Code::Corrupt, "the bytes end within " + std::string(field), plural(count, "byte"),
              plural(remaining(), "byte"), "the file is cut short or damaged: fetch or save it again");
}

std::span<const std::byte> Cursor::bytes(std::uint64_t count, std::string_view field) {
  need(count, field);
  const auto found = bytes_.subspan(position_, count);
  position_ += count;
  return found;
}

std::uint8_t Cursor::u8(std::string_view field) { return little_endian<std::uint8_t>(bytes(1, field)); }
std::uint16_t Cursor::u16(std::string_view field) { return little_endian<std::uint16_t>(bytes(2, field)); }
std::uint32_t Cursor::u32(std::string_view field) { return little_endian<std::uint32_t>(bytes(4, field)); }
std::uint64_t Cursor::u64(std::string_view field) { return little_endian<std::uint64_t>(bytes(8, field)); }
std::int32_t Cursor::i32(std::string_view field) { return std::bit_cast<std::int32_t>(u32(field)); }
std::int64_t Cursor::i64(std::string_view field) { return std::bit_cast<std::int64_t>(u64(field)); }

double Cursor::f64_big_endian(std::string_view field) { return std::bit_cast<double>(__builtin_bswap64(u64(field))); }

std::string_view Cursor::text(std::uint64_t count, std::string_view field) { return as_text(bytes(count, field)); }

std::string_view Cursor::line(std::string_view field) {
  const std::string_view left = as_text(rest());
  const std::size_t end = left.find('\n');
  if (end == std::string_view::npos)
    throw error(Code::Corrupt, "the bytes end within " + std::string(field), "a newline");
  position_ += end + 1;
  return left.substr(0, end);
}

void Cursor::skip(std::uint64_t count, std::string_view field) { bytes(count, field); }

void Cursor::seek(std::uint64_t position) {
  TENON_ASSERT(position <= bytes_.size());
  position_ = position;
}

Error Cursor::error(Code code, std::string what, std::string expected, std::string found, std::string next) const {
  return error_at(position_, code, std::move(what), std::move(expected), std::move(found), std::move(next));
}

Error Cursor::error_at(std::uint64_t position, Code code, std::string what, std::string expected, std::string found,
                       std::string next) const {
  return Error(code, where(position), std::move(what), std::move(expected), std::move(found), std::move(next));
}

}  // namespace tenon::base
