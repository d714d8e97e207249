// Tokens of the code in TorchScript archives: the small part of Python that PyTorch prints.
//
// Source: torch/csrc/jit/serialization/python_print.cpp; torch/csrc/jit/frontend/lexer.h.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include <tenon/error.hpp>

namespace tenon::model::script {

/// Which text is read, for messages.
struct Place {
  std::string file, member;
};

struct Token {
  enum class Kind : std::uint8_t { Name, Number, Text, Symbol, NewLine, Indent, Dedent, End };
  Kind kind = Kind::End;
  std::string_view text;  ///< as written, quotes included
  std::uint64_t at = 0;   ///< byte in the source
};

/// `source` must outlive the tokens. Within brackets lines go on. The last token is End.
/// Throws Error: Corrupt (a character that no token begins with, a text without end, an odd indentation), Limit.
std::vector<Token> tokenize(std::string_view source, const Place& place);

/// The text that a Text token stands for: quotes off, escapes replaced; unknown escapes stay as they are.
std::string unquoted(std::string_view token);

/// Error Corrupt at byte `at`.
Error odd_code(const Place& place, std::uint64_t at, std::string what, std::string_view found = {});

}  // namespace tenon::model::script
