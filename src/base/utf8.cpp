// Source of the well-formedness table: The Unicode Standard, chapter 3, table 3-7.
#include "base/utf8.hpp"

#include <algorithm>
#include <array>
#include <cstdint>

namespace tenon::base {

namespace {

constexpr char32_t kIllFormed = 0xFFFFFFFF;

struct Decoded {
  char32_t code_point = kIllFormed;
  std::size_t length = 1;
};

bool is_continuation(unsigned char byte) { return (byte & 0xC0U) == 0x80U; }

/// One code point at the start of `text`, which is not empty. An ill-formed byte has length 1.
Decoded decode(std::string_view text) {
  const auto at = [&](std::size_t i) { return static_cast<unsigned char>(text[i]); };
  const unsigned char lead = at(0);
  if (lead < 0x80) return {lead, 1};
  const std::size_t length = lead >= 0xF0 ? 4 : lead >= 0xE0 ? 3 : 2;
  if (lead < 0xC2 || lead > 0xF4 || text.size() < length) return {};
  char32_t code_point = lead & (0x7FU >> length);
  for (std::size_t i = 1; i < length; ++i) {
    if (!is_continuation(at(i))) return {};
    code_point = (code_point << 6U) | (at(i) & 0x3FU);
  }
  constexpr std::array<char32_t, 5> kLeast{0, 0, 0x80, 0x800, 0x10000};
  const bool surrogate = code_point >= 0xD800 && code_point <= 0xDFFF;
  if (code_point < kLeast[length] || code_point > 0x10FFFF || surrogate) return {};
  return {code_point, length};
}

void append_hex(std::string& out, std::string_view before, std::uint32_t number, int digits, std::string_view after) {
  constexpr std::string_view kDigits = "0123456789abcdef";
  out += before;
  for (int shift = 4 * (digits - 1); shift >= 0; shift -= 4)
    out += kDigits[(number >> static_cast<unsigned>(shift)) & 15U];
  out += after;
}

/// Characters that move the cursor, hide text or turn its direction.
bool is_unsafe(char32_t c) {
  return c < 0x20 || (c >= 0x7F && c < 0xA0) || (c >= 0x200B && c <= 0x200F) || (c >= 0x2028 && c <= 0x202E) ||
         (c >= 0x2060 && c <= 0x206F) || c == 0xFEFF || (c >= 0xE0000 && c <= 0xE007F);
}

void append_escaped(std::string& out, char32_t c) {
  switch (c) {
    case U'\n': out += "\\n"; return;
    case U'\t': out += "\\t"; return;
    case U'\r': out += "\\r"; return;
    default: break;
  }
  if (c < 0x100)
    append_hex(out, "\\x", c, 2, "");
  else
    append_hex(out, "\\u{", c, c > 0xFFFF ? 6 : 4, "}");
}

struct Range {
  char32_t first, last;
};
// The blocks that terminals show in two columns (East Asian Wide) and in none (combining marks), in large strokes.
constexpr Range kWide[] = {{0x1100, 0x115F},   {0x2E80, 0x303E},   {0x3041, 0xA4CF},  {0xAC00, 0xD7A3},
                           {0xF900, 0xFAFF},   {0xFE30, 0xFE6F},   {0xFF00, 0xFF60},  {0xFFE0, 0xFFE6},
                           {0x1F300, 0x1F64F}, {0x1F900, 0x1F9FF}, {0x20000, 0x3FFFD}};
constexpr Range kCombining[] = {
    {0x0300, 0x036F}, {0x1AB0, 0x1AFF}, {0x1DC0, 0x1DFF}, {0x20D0, 0x20FF}, {0xFE00, 0xFE0F}};

template <std::size_t N>
bool in(const Range (&ranges)[N], char32_t c) {
  return std::any_of(std::begin(ranges), std::end(ranges), [c](Range r) { return c >= r.first && c <= r.last; });
}

std::size_t columns(char32_t c) { return in(kCombining, c) ? 0 : in(kWide, c) ? 2 : 1; }

/// Calls on_good(code point, its bytes) or on_bad(byte) from start to end.
template <class Good, class Bad>
void walk(std::string_view text, Good on_good, Bad on_bad) {
  while (!text.empty()) {
    const Decoded next = decode(text);
    if (next.code_point == kIllFormed)
      on_bad(static_cast<unsigned char>(text[0]));
    else
      on_good(next.code_point, text.substr(0, next.length));
    text.remove_prefix(next.length);
  }
}

}  // namespace

bool is_utf8(std::string_view text) {
  while (!text.empty()) {
    const Decoded next = decode(text);
    if (next.code_point == kIllFormed) return false;
    text.remove_prefix(next.length);
  }
  return true;
}

std::string to_valid_utf8(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  walk(
      text, [&](char32_t, std::string_view bytes) { out += bytes; },
      [&](unsigned char byte) { append_hex(out, "\\x", byte, 2, ""); });
  return out;
}

std::string escape_for_terminal(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  walk(
      text,
      [&](char32_t c, std::string_view bytes) {
        if (is_unsafe(c))
          append_escaped(out, c);
        else
          out += bytes;
      },
      [&](unsigned char byte) { append_hex(out, "\\x", byte, 2, ""); });
  return out;
}

std::size_t display_width(std::string_view text) {
  std::size_t width = 0;
  walk(
      text, [&](char32_t c, std::string_view) { width += columns(c); }, [&](unsigned char) { ++width; });
  return width;
}

void append_utf8(std::string& out, char32_t c) {
  const auto put = [&](char32_t byte) { out += static_cast<char>(static_cast<unsigned char>(byte)); };
  if (c < 0x80) return put(c);
  if (c < 0x800) {
    put(0xC0U | (c >> 6U));
  } else {
    if (c < 0x10000) {
      put(0xE0U | (c >> 12U));
    } else {
      put(0xF0U | (c >> 18U));
      put(0x80U | ((c >> 12U) & 0x3FU));
    }
    put(0x80U | ((c >> 6U) & 0x3FU));
  }
  put(0x80U | (c & 0x3FU));
}

}  // namespace tenon::base
