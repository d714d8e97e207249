// One JSON string literal, for writers that produce JSON piece by piece.
#pragma once

#include <string>
#include <string_view>

namespace tenon::base {

/// Appends `text` in quotes, with `"`, `\` and control characters escaped. The text must be well-formed UTF-8.
void append_json_string(std::string& out, std::string_view text);

}  // namespace tenon::base
