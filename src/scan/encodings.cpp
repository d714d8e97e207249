// Source: RFC 4648.
#include "scan/encodings.hpp"

#include <algorithm>
#include <iterator>

namespace tenon::scanning {

namespace {

int base64_value(char c) {
  if (c >= 'A' && c <= 'Z') return c - 'A';
  if (c >= 'a' && c <= 'z') return c - 'a' + 26;
  if (c >= '0' && c <= '9') return c - '0' + 52;
  if (c == '+' || c == '-') return 62;
  if (c == '/' || c == '_') return 63;
  return -1;
}

int hex_value(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

bool is_space(char c) { return c == ' ' || c == '\n' || c == '\r' || c == '\t'; }

/// PROTO 0 to 5 and a following opcode, in hexadecimal.
bool begins_like_hex(std::string_view text) {
  return text.size() > 8 && text.starts_with("800") && text[3] >= '0' && text[3] <= '5';
}

/// 0x80 0x02..0x05 in base64: gAI, gAJ, gAM, gAN, gAQ, gAR, gAS, gAT, gAU, gAV, ... and Y29z for `cos`.
bool begins_like_base64(std::string_view text) {
  return text.size() > 8 && text[0] == 'g' && text[1] == 'A' && text[2] >= 'A' && text[2] <= 'X';
}

}  // namespace

std::optional<std::string> decode_base64(std::string_view text) {
  std::string out;
  out.reserve(text.size() / 4 * 3 + 3);
  unsigned bits = 0, count = 0;
  for (const char c : text) {
    if (c == '=') break;
    if (is_space(c)) continue;
    const int value = base64_value(c);
    if (value < 0) return std::nullopt;
    bits = ((bits << 6U) | static_cast<unsigned>(value)) & 0xFFFFU;
    count += 6;
    if (count < 8) continue;
    count -= 8;
    out += static_cast<char>(static_cast<unsigned char>(bits >> count));
  }
  return out;
}

std::optional<std::string> decode_hex(std::string_view text) {
  std::string out;
  for (std::size_t i = 0; i + 1 < text.size(); i += 2) {
    const int high = hex_value(text[i]), low = hex_value(text[i + 1]);
    if (high < 0 || low < 0) return std::nullopt;
    out += static_cast<char>(static_cast<unsigned char>(high * 16 + low));
  }
  return out;
}

bool begins_like_encoded_pickle(std::string_view text) { return begins_like_hex(text) || begins_like_base64(text); }

std::optional<std::string> decode_encoded_pickle(std::string_view text) {
  if (begins_like_hex(text)) return decode_hex(text);
  if (begins_like_base64(text)) return decode_base64(text);
  return std::nullopt;
}

}  // namespace tenon::scanning
