// Formats that are a stream of counted values and hold no code: recognised by being whole from the first byte to the
// last.
// Source: the msgpack specification; flax/serialization.py.
#include "scan/other_formats.hpp"

#include <string>

#include "base/cursor.hpp"

namespace tenon::scanning {

namespace {

using base::Cursor;

std::uint64_t big_endian(Cursor& in, unsigned bytes) {
  std::uint64_t value = 0;
  for (unsigned i = 0; i < bytes; ++i) value = (value << 8U) | in.u8("number");
  return value;
}

/// Skips one value and returns how many values it is followed by as its own.
std::uint64_t skip_msgpack(Cursor& in) {
  const std::uint8_t head = in.u8("value");
  if (head < 0x80 || head >= 0xE0) return 0;
  if (head < 0x90) return 2ULL * (head & 0x0FU);
  if (head < 0xA0) return head & 0x0FU;
  if (head < 0xC0) return in.skip(head & 0x1FU, "text"), 0;
  switch (head) {
    case 0xC0:
    case 0xC2:
    case 0xC3: return 0;
    case 0xC4:
    case 0xC5:
    case 0xC6: return in.skip(big_endian(in, 1U << (head - 0xC4U)), "bytes"), 0;
    case 0xC7:
    case 0xC8:
    case 0xC9: return in.skip(big_endian(in, 1U << (head - 0xC7U)) + 1, "extension"), 0;
    case 0xCA: return in.skip(4, "number"), 0;
    case 0xCB: return in.skip(8, "number"), 0;
    case 0xCC:
    case 0xCD:
    case 0xCE:
    case 0xCF: return in.skip(1U << (head - 0xCCU), "number"), 0;
    case 0xD0:
    case 0xD1:
    case 0xD2:
    case 0xD3: return in.skip(1U << (head - 0xD0U), "number"), 0;
    case 0xD4:
    case 0xD5:
    case 0xD6:
    case 0xD7:
    case 0xD8: return in.skip((1U << (head - 0xD4U)) + 1, "extension"), 0;
    case 0xD9:
    case 0xDA:
    case 0xDB: return in.skip(big_endian(in, 1U << (head - 0xD9U)), "text"), 0;
    case 0xDC: return big_endian(in, 2);
    case 0xDD: return big_endian(in, 4);
    case 0xDE: return 2 * big_endian(in, 2);
    case 0xDF: return 2 * big_endian(in, 4);
    default: throw in.error(Code::Corrupt, "no such type");
  }
}

}  // namespace

bool is_whole_msgpack(std::span<const std::byte> bytes, const Limits& limits) {
  const auto first = bytes.empty() ? 0U : std::to_integer<unsigned>(bytes[0]);
  if (first != 0xDE && first != 0xDF && (first < 0x80 || first > 0x8F)) return false;
  try {
    Cursor in(bytes, {});
    std::uint64_t left = 1;
    for (std::uint64_t values = 0; left > 0; ++values) {
      if (values > limits.pickle_nodes) return false;
      const std::uint64_t more = skip_msgpack(in);
      if (more > 0 && more > in.remaining()) return false;
      left += more;
      --left;
    }
    return in.at_end();
  } catch (const Error&) {
    return false;
  }
}

}  // namespace tenon::scanning
