// Python literals as data: what stands in the header of an NPY file. Nothing is evaluated; names, calls and operators
// are refused.
//
//   dict    {'key': value, ...}     at the top only, keys are text
//   value   None | True | False | -12 | 12L | 'text' | u"text" | (value, ...) | [value, ...]
//
// Source: The Python Language Reference, 2.4 "Literals"; Python 2 wrote `12L` and `u'text'`.
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "base/cursor.hpp"

namespace tenon::formats {

struct Literal {
  enum class Kind : std::uint8_t { None, Boolean, Number, Text, Tuple, List };
  Kind kind = Kind::None;
  std::int64_t number = 0;  ///< Number; 1 or 0 for Boolean
  std::string text;         ///< as the header's encoding has it; escapes are resolved
  std::vector<Literal> items;
  std::uint64_t at = 0;  ///< of its first byte, in the cursor

  bool is_text() const { return kind == Kind::Text; }
  bool is_number() const { return kind == Kind::Number; }
  bool is_sequence() const { return kind == Kind::Tuple || kind == Kind::List; }
};
using LiteralDict = std::vector<std::pair<std::string, Literal>>;

/// Reads one dict and the white space around it; nothing else may follow.
/// Throws Error Corrupt at the byte that is no literal or repeats a key; Limit beyond `max_depth` tuples and lists.
LiteralDict read_literal_dict(base::Cursor& in, std::uint64_t max_depth);

}  // namespace tenon::formats
