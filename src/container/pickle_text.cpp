#include "container/pickle_text.hpp"

#include <algorithm>
#include <utility>
#include <vector>

#include "base/utf8.hpp"

namespace tenon::container {

namespace {

int digit_value(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

/// `count` hexadecimal digits at `at`, which moves behind them.
std::optional<std::uint32_t> hex_digits(std::string_view text, std::size_t& at, std::size_t count) {
  if (text.size() - at < count) return std::nullopt;
  std::uint32_t number = 0;
  for (std::size_t i = 0; i < count; ++i) {
    const int digit = digit_value(text[at + i]);
    if (digit < 0) return std::nullopt;
    number = number * 16 + static_cast<std::uint32_t>(digit);
  }
  at += count;
  return number;
}

constexpr std::pair<char, char> kSimpleEscapes[] = {{'\\', '\\'}, {'\'', '\''}, {'"', '"'},  {'a', '\a'}, {'b', '\b'},
                                                    {'f', '\f'},  {'n', '\n'},  {'r', '\r'}, {'t', '\t'}, {'v', '\v'}};

/// The escape whose letter stands at `at`, which moves behind it.
bool append_escape(std::string& out, std::string_view text, std::size_t& at) {
  const char letter = text[at++];
  if (letter == '\n') return true;  // a continued line
  if (letter == 'x') {
    const auto byte = hex_digits(text, at, 2);
    if (byte) out += static_cast<char>(*byte);
    return byte.has_value();
  }
  if (letter >= '0' && letter <= '7') {
    std::uint32_t number = static_cast<std::uint32_t>(letter - '0');
    for (int i = 0; i < 2 && at < text.size() && text[at] >= '0' && text[at] <= '7'; ++i)
      number = number * 8 + static_cast<std::uint32_t>(text[at++] - '0');
    out += static_cast<char>(number & 0xFF);
    return true;
  }
  for (const auto& [name, meaning] : kSimpleEscapes)
    if (letter == name) {
      out += meaning;
      return true;
    }
  out += '\\';  // Python keeps what it does not know
  out += letter;
  return true;
}

}  // namespace

std::optional<std::string> unescape_string(std::string_view text) {
  std::string out;
  for (std::size_t at = 0; at < text.size();) {
    if (text[at] != '\\') {
      out += text[at++];
      continue;
    }
    if (++at == text.size() || !append_escape(out, text, at)) return std::nullopt;
  }
  return out;
}

std::optional<std::string> unescape_unicode(std::string_view text) {
  std::string out;
  for (std::size_t at = 0; at < text.size();) {
    const bool escapes = text[at] == '\\' && at + 1 < text.size() && (text[at + 1] == 'u' || text[at + 1] == 'U');
    if (!escapes) {
      base::append_utf8(out, static_cast<unsigned char>(text[at++]));
      continue;
    }
    const std::size_t digits = text[at + 1] == 'u' ? 4 : 8;
    at += 2;
    const auto code_point = hex_digits(text, at, digits);
    if (!code_point || *code_point > 0x10FFFF) return std::nullopt;
    base::append_utf8(out, *code_point);
  }
  return out;
}

std::string utf8_of_latin1(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  for (const char c : text) base::append_utf8(out, static_cast<unsigned char>(c));
  return out;
}

std::optional<std::string> latin1_of_utf8(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  for (std::size_t at = 0; at < text.size(); ++at) {
    const auto lead = static_cast<unsigned char>(text[at]);
    if (lead < 0x80) {
      out += text[at];
      continue;
    }
    // Below U+0100 the form is always C2 or C3 and one continuation byte.
    if ((lead != 0xC2 && lead != 0xC3) || ++at == text.size()) return std::nullopt;
    const auto next = static_cast<unsigned char>(text[at]);
    if ((next & 0xC0) != 0x80) return std::nullopt;
    out += static_cast<char>(((lead & 3) << 6) | (next & 0x3F));
  }
  return out;
}

std::string decimal_of_twos_complement(std::string_view bytes) {
  const bool negative = !bytes.empty() && (static_cast<unsigned char>(bytes.back()) & 0x80) != 0;
  std::vector<std::uint32_t> groups;  // of nine decimal digits, least first
  unsigned carry = negative ? 1 : 0;
  std::vector<std::uint8_t> magnitude;
  for (const char c : bytes) {
    const unsigned raw = static_cast<unsigned char>(c);
    const unsigned value = (negative ? raw ^ 0xFF : raw) + carry;
    carry = negative ? value >> 8 : 0;
    magnitude.push_back(static_cast<std::uint8_t>(value));
  }
  for (std::size_t i = magnitude.size(); i-- > 0;) {
    std::uint64_t rest = magnitude[i];
    for (std::uint32_t& group : groups) {
      rest += std::uint64_t{group} << 8;
      group = static_cast<std::uint32_t>(rest % 1'000'000'000);
      rest /= 1'000'000'000;
    }
    if (rest > 0) groups.push_back(static_cast<std::uint32_t>(rest));
  }
  if (groups.empty()) return "0";
  std::string text = (negative ? "-" : "") + std::to_string(groups.back());
  for (std::size_t i = groups.size() - 1; i-- > 0;) {
    const std::string digits = std::to_string(groups[i]);
    text.append(9 - digits.size(), '0');
    text += digits;
  }
  return text;
}

}  // namespace tenon::container
