#include "container/protobuf_wire.hpp"

#include <utility>
#include <vector>

#include "base/limit_error.hpp"
#include "base/text.hpp"

namespace tenon::container {

Error WireReader::error(std::uint64_t at, Code code, std::string what, std::string expected, std::string found) const {
  return Error(code, Where{file_, {}, {}, at}, std::move(what), std::move(expected), std::move(found),
               "the file is cut short or damaged: fetch or save it again");
}

std::uint64_t WireReader::varint() {
  const std::uint64_t begin = position_;
  std::uint64_t number = 0;
  for (int shift = 0; shift < 70; shift += 7) {
    if (at_end()) throw error(origin_ + begin, Code::Corrupt, "the bytes end within a number");
    const auto byte = std::to_integer<std::uint64_t>(message_[position_++]);
    if (shift < 64) number |= (byte & 0x7F) << shift;
    if (byte < 0x80) return number;
  }
  throw error(origin_ + begin, Code::Corrupt, "a number takes more than ten bytes");
}

std::uint64_t WireReader::fixed(std::uint64_t width) {
  if (message_.size() - position_ < width)
    throw error(origin_ + position_, Code::Corrupt, "the bytes end within a number", base::plural(width, "byte"),
                base::plural(message_.size() - position_, "byte"));
  std::uint64_t number = 0;
  for (std::uint64_t i = 0; i < width; ++i)
    number |= std::to_integer<std::uint64_t>(message_[position_ + i]) << (8 * i);
  position_ += width;
  return number;
}

void WireReader::read_value(WireField& field) {
  switch (field.type) {
    case WireType::Varint: field.value = varint(); return;
    case WireType::Fixed64: field.value = fixed(8); return;
    case WireType::Fixed32: field.value = fixed(4); return;
    case WireType::GroupStart:
    case WireType::GroupEnd: return;
    case WireType::Bytes: break;
  }
  const std::uint64_t length = varint();
  if (length > message_.size() - position_)
    throw error(field.at, Code::Corrupt, "a field reaches past its message",
                "at most " + base::plural(message_.size() - position_, "byte"), base::plural(length, "byte"));
  field.bytes_at = origin_ + position_;
  field.bytes = message_.subspan(position_, length);
  position_ += length;
}

std::optional<WireField> WireReader::next() {
  std::vector<std::uint32_t> groups;
  while (!at_end()) {
    WireField field;
    field.at = origin_ + position_;
    const std::uint64_t tag = varint();
    field.number = static_cast<std::uint32_t>(tag >> 3);
    field.type = static_cast<WireType>(tag & 7);
    if (tag > 0xFFFFFFFF || field.number == 0 || (tag & 7) > 5)
      throw error(field.at, Code::Corrupt, "a field has a number or wire type that does not exist", {}, base::hex(tag));
    read_value(field);
    if (field.type == WireType::GroupStart) {
      groups.push_back(field.number);
      if (groups.size() > most_groups_)
        throw base::limit_error(error(field.at, Code::Limit, {}).where, "groups are nested too deeply",
                                {&Limits::protobuf_depth, most_groups_});
    } else if (field.type == WireType::GroupEnd) {
      if (groups.empty() || groups.back() != field.number)
        throw error(field.at, Code::Corrupt, "a group ends that did not begin");
      groups.pop_back();
    } else if (groups.empty()) {
      return field;
    }
  }
  if (!groups.empty()) throw error(origin_ + position_, Code::Corrupt, "the bytes end within a group");
  return std::nullopt;
}

}  // namespace tenon::container
