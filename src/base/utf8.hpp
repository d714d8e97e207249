// UTF-8: validation, and escaping of text that came from a file before a terminal or a JSON document sees it.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace tenon::base {

/// True for well-formed UTF-8 (no overlong forms, no surrogates, at most U+10FFFF).
bool is_utf8(std::string_view text);

/// Well-formed UTF-8: bytes that are not are written as \xNN. Nothing else is changed (for JSON, which escapes controls
/// itself).
std::string to_valid_utf8(std::string_view text);

/// For terminals: like to_valid_utf8, and control characters (C0, DEL, C1), bidi overrides and line separators are
/// written as \n, \t, \xNN or \u{NNNN}.
std::string escape_for_terminal(std::string_view text);

/// Columns that well-formed text takes on a terminal: one per code point, none for combining marks, two for wide ones.
std::size_t display_width(std::string_view text);

/// Appends the UTF-8 form of a code point up to U+10FFFF (surrogates are encoded as they are, as Python's surrogatepass
/// does).
void append_utf8(std::string& out, char32_t code_point);

}  // namespace tenon::base
