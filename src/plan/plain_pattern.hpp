// PlainPattern: the regular expressions that plans are made of, matched without a regular-expression engine.
//
// Literals, `(\d+)` and `\d+`, `(a|b)` of literals, and `(.*)` or `(.+)` at the end: a hundred thousand names times
// dozens of rules. Any other expression is left to std::regex; the results are the same.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace tenon::plan {

class PlainPattern {
 public:
  /// Nothing when the expression has anything else in it.
  static std::optional<PlainPattern> parse(std::string_view expression);

  /// The replacement with its $1 ... $9, $& and $$ filled in; nothing where the expression does not match the whole
  /// name. O(length of name times length of expression).
  std::optional<std::string> replaced(std::string_view name, std::string_view to) const;

 private:
  enum class Kind : std::uint8_t { Literal, Digits, Alternatives, Rest };
  struct Atom {
    Kind kind = Kind::Literal;
    std::vector<std::string> texts;  ///< one for Literal
    bool is_group = false;
    bool may_be_empty = false;  ///< of Rest
  };
  using Groups = std::vector<std::string_view>;
  struct Search;

  bool match(Search& search, std::size_t atom, std::size_t at) const;

  std::vector<Atom> atoms_;
};

}  // namespace tenon::plan
