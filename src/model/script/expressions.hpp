// Expressions: the inner half of the parser in syntax.cpp.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "model/script/syntax.hpp"
#include "model/script/tokens.hpp"

namespace tenon::model::script {

/// Reads tokens one after another. What it is given must outlive it.
class TokenReader {
 public:
  TokenReader(const std::vector<Token>& tokens, const Place& place) : tokens_(tokens), place_(place) {}

  const Token& now() const { return tokens_[at_]; }
  bool is(Token::Kind kind) const { return now().kind == kind; }
  bool is_symbol(std::string_view text) const { return is(Token::Kind::Symbol) && now().text == text; }
  bool is_name(std::string_view text) const { return is(Token::Kind::Name) && now().text == text; }
  void step() { at_ += at_ + 1 < tokens_.size() ? 1 : 0; }
  bool take_symbol(std::string_view text);
  bool take_name(std::string_view text);
  void need_symbol(std::string_view text);
  std::string need_name();
  Error odd(std::string what) const;

 private:
  const std::vector<Token>& tokens_;
  const Place& place_;
  std::size_t at_ = 0;
};

class Expressions {
 public:
  explicit Expressions(TokenReader& in) : in_(in) {}

  Expr expression();
  /// Also `a, b, ` without brackets: a Sequence.
  Expr expressions();

 private:
  void add_link();
  Expr binary(int level);
  Expr unary();
  Expr postfix();
  Expr primary();
  Expr bracketed(std::string_view close);
  Expr dict();
  Expr call(Expr callee);
  Expr subscript(Expr base);
  Expr number();

  TokenReader& in_;
  int depth_ = 0;
  int links_ = 0;
};

}  // namespace tenon::model::script
