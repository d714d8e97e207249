// NamePattern: a regular expression over whole tensor names, safe to run on patterns and names that a stranger wrote.
//
// A backtracking matcher can take exponential time and its recursion can outgrow the stack. With libstdc++ the
// polynomial (breadth-first) matcher is used; everywhere the lengths of pattern and name are limited. The price: no
// back-references such as \1 inside a pattern ($1 in the replacement is fine).
#pragma once

#include <memory>
#include <optional>
#include <string>

#include <tenon/error.hpp>

namespace tenon::plan {

class NamePattern {
 public:
  /// Throws Error Invalid: no ECMAScript regular expression, or a longer or larger one than kMaxPatternBytes allows.
  /// `place` is for messages.
  explicit NamePattern(const std::string& pattern, Where place = {});
  ~NamePattern();

  /// The name with $1 references filled in; nothing where the pattern does not match the whole name.
  /// Throws Error: Limit when the name is longer than kMaxMatchedNameBytes or becomes longer than 64 KiB, Invalid when
  /// `to` is longer than kMaxPatternBytes.
  std::optional<std::string> replaced(const std::string& name, const std::string& to) const;

 private:
  struct Compiled;
  std::unique_ptr<Compiled> compiled_;
};

}  // namespace tenon::plan
