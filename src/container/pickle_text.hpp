// The text forms of protocol 0: escaped strings and decimal numbers.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace tenon::container {

/// Python's string escapes (`\n`, `\x41`, `\101`, `\\`, ...). Nothing for a broken escape.
std::optional<std::string> unescape_string(std::string_view text);

/// raw-unicode-escape: Latin-1, with \uXXXX and \UXXXXXXXX. UTF-8 comes out. Nothing for a broken escape.
std::optional<std::string> unescape_unicode(std::string_view text);

/// Text in Latin-1 as UTF-8.
std::string utf8_of_latin1(std::string_view text);

/// UTF-8 whose characters are all below U+0100 as bytes; nothing otherwise.
std::optional<std::string> latin1_of_utf8(std::string_view text);

/// Little-endian two's complement of any length as decimal text.
std::string decimal_of_twos_complement(std::string_view bytes);

}  // namespace tenon::container
