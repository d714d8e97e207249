#include "model/script/expressions.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <cstdint>
#include <utility>

#include <tenon/blueprint.hpp>

namespace tenon::model::script {
namespace {

using Kind = Expr::Kind;

constexpr int kMaxDepth = 200;   ///< three for each bracket
constexpr int kMaxLinks = 2000;  ///< of the chains in one statement: each makes its tree one deeper

/// Operators by how tightly they bind, loosest first; each under the name of the function that does the same.
struct OperatorRow {
  int level;
  std::string_view symbol, name;
};
constexpr std::array<OperatorRow, 22> kOperators{{
    {0, "or", "or"},       {1, "and", "and"},   {2, "==", "eq"},     {2, "!=", "ne"},         {2, "<=", "le"},
    {2, ">=", "ge"},       {2, "<", "lt"},      {2, ">", "gt"},      {2, "is", "__is__"},     {2, "in", "__contains__"},
    {3, "|", "__or__"},    {3, "^", "__xor__"}, {4, "&", "__and__"}, {5, "<<", "__lshift__"}, {5, ">>", "__rshift__"},
    {6, "+", "add"},       {6, "-", "sub"},     {7, "*", "mul"},     {7, "/", "div"},         {7, "//", "floordiv"},
    {7, "%", "remainder"}, {7, "@", "matmul"},
}};
constexpr int kTightest = 8;

std::string_view operator_name(const Token& token, int level) {
  if (token.kind != Token::Kind::Symbol && token.kind != Token::Kind::Name) return {};
  for (const OperatorRow& row : kOperators)
    if (row.level == level && row.symbol == token.text) return row.name;
  return {};
}

Expr literal(std::string json) { return {Kind::Literal, std::move(json), {}, {}}; }

Expr operation(std::string_view name, Expr a) {
  Expr result{Kind::Operator, std::string(name), {}, {}};
  result.items.push_back(std::move(a));
  return result;
}

/// Counts how deep a recursion is.
class Deeper {
 public:
  Deeper(int& depth, const TokenReader& in) : depth_(depth) {
    if (depth >= kMaxDepth) throw in.odd("an expression in the code is nested too deeply");
    ++depth_;
  }
  ~Deeper() { --depth_; }
  Deeper(const Deeper&) = delete;
  Deeper& operator=(const Deeper&) = delete;

 private:
  int& depth_;
};

}  // namespace

bool TokenReader::take_symbol(std::string_view text) {
  if (!is_symbol(text)) return false;
  step();
  return true;
}

bool TokenReader::take_name(std::string_view text) {
  if (!is_name(text)) return false;
  step();
  return true;
}

void TokenReader::need_symbol(std::string_view text) {
  if (!take_symbol(text)) throw odd("the code lacks a `" + std::string(text) + "`");
}

std::string TokenReader::need_name() {
  if (!is(Token::Kind::Name)) throw odd("the code lacks a name");
  std::string name(now().text);
  step();
  return name;
}

Error TokenReader::odd(std::string what) const { return odd_code(place_, now().at, std::move(what), now().text); }

Expr Expressions::expressions() {
  Expr first = expression();
  if (!in_.is_symbol(",")) return first;
  Expr all{Kind::Sequence, {}, {}, {}};
  all.items.push_back(std::move(first));
  while (in_.take_symbol(",")) {
    if (in_.is_symbol("=") || in_.is(Token::Kind::NewLine) || in_.is_name("in")) break;
    all.items.push_back(expression());
  }
  return all;
}

void Expressions::add_link() {
  if (++links_ > kMaxLinks) throw in_.odd("a statement in the code is too long");
}

Expr Expressions::expression() {
  if (depth_ == 0) links_ = 0;
  const Deeper deeper(depth_, in_);
  Expr value = binary(0);
  if (!in_.take_name("if")) return value;
  Expr all{Kind::Conditional, {}, {}, {}};
  all.items.push_back(binary(0));
  all.items.push_back(std::move(value));
  if (!in_.take_name("else")) throw in_.odd("a conditional expression in the code has no `else`");
  all.items.push_back(expression());
  return all;
}

Expr Expressions::binary(int level) {
  if (level == kTightest) return unary();
  if (level == 2 && in_.is_name("not")) {
    const Deeper deeper(depth_, in_);
    in_.step();
    return operation("__not__", binary(level));
  }
  Expr left = binary(level + 1);
  while (true) {
    const bool is_not_in = level == 2 && in_.is_name("not");
    if (is_not_in) in_.step();
    const std::string_view name = operator_name(in_.now(), level);
    if (name.empty()) return left;
    add_link();
    in_.step();
    const bool is_negated = name == "__is__" && in_.take_name("not");
    Expr both = operation(is_negated ? "__isnot__" : name, std::move(left));
    both.items.push_back(binary(level + 1));
    left = is_not_in ? operation("__not__", std::move(both)) : std::move(both);
  }
}

Expr Expressions::unary() {
  const Deeper deeper(depth_, in_);
  if (in_.take_symbol("-")) {
    Expr value = unary();
    if (value.kind == Kind::Literal && !value.text.empty() && value.text[0] >= '0' && value.text[0] <= '9')
      return literal("-" + value.text);
    if (value.kind == Kind::Literal && value.text == "\"inf\"") return literal("\"-inf\"");
    return operation("neg", std::move(value));
  }
  if (in_.take_symbol("+")) return unary();
  if (in_.take_symbol("~")) return operation("bitwise_not", unary());
  Expr base = postfix();
  if (!in_.take_symbol("**")) return base;
  Expr power = operation("pow", std::move(base));
  power.items.push_back(unary());
  return power;
}

Expr Expressions::postfix() {
  Expr value = primary();
  while (true) {
    add_link();
    if (in_.take_symbol(".")) {
      Expr attribute = operation(in_.need_name(), std::move(value));
      attribute.kind = Kind::Attribute;
      value = std::move(attribute);
    } else if (in_.is_symbol("(")) {
      value = call(std::move(value));
    } else if (in_.is_symbol("[")) {
      value = subscript(std::move(value));
    } else {
      return value;
    }
  }
}

Expr Expressions::call(Expr callee) {
  in_.need_symbol("(");
  Expr all = operation({}, std::move(callee));
  all.kind = Kind::Call;
  while (!in_.take_symbol(")")) {
    in_.take_symbol("*");
    Expr value = expression();
    const bool is_keyword = value.kind == Kind::Name && in_.take_symbol("=");
    all.keywords.push_back(is_keyword ? value.text : std::string());
    all.items.push_back(is_keyword ? expression() : std::move(value));
    if (!in_.is_symbol(")")) in_.need_symbol(",");
  }
  return all;
}

/// Also `x[a:b]`, whose bounds are one text: no operation of an archive takes slices otherwise.
Expr Expressions::subscript(Expr base) {
  in_.need_symbol("[");
  Expr all = operation({}, std::move(base));
  all.kind = Kind::Subscript;
  Expr index{Kind::Sequence, {}, {}, {}};
  bool is_list = false;
  while (!in_.take_symbol("]")) {
    if (in_.take_symbol(":"))
      is_list = true;
    else
      index.items.push_back(expression());
    is_list = in_.take_symbol(",") || is_list;
    if (in_.is(Token::Kind::NewLine) || in_.is(Token::Kind::End)) throw in_.odd("the code lacks a `]`");
  }
  const bool is_one = index.items.size() == 1 && !is_list;
  Expr only = is_one ? std::move(index.items.front()) : std::move(index);
  all.items.push_back(std::move(only));
  return all;
}

Expr Expressions::bracketed(std::string_view close) {
  Expr all{Kind::Sequence, {}, {}, {}};
  bool has_comma = false;
  while (!in_.take_symbol(close)) {
    all.items.push_back(expression());
    const bool comma = in_.take_symbol(",");
    has_comma = has_comma || comma;
    if (!comma && !in_.is_symbol(close)) throw in_.odd("the code lacks a `" + std::string(close) + "`");
  }
  if (close != ")" || has_comma || all.items.size() != 1) return all;
  Expr only = std::move(all.items.front());
  return only;
}

Expr Expressions::dict() {
  Expr all{Kind::Dict, {}, {}, {}};
  while (!in_.take_symbol("}")) {
    all.items.push_back(expression());
    in_.need_symbol(":");
    all.items.push_back(expression());
    if (!in_.is_symbol("}")) in_.need_symbol(",");
  }
  return all;
}

Expr Expressions::number() {
  const std::string_view text = in_.now().text;
  in_.step();
  std::int64_t whole = 0;
  const char* const end = text.data() + text.size();
  if (const auto [stop, failed] = std::from_chars(text.data(), end, whole); failed == std::errc{} && stop == end)
    return literal(std::to_string(whole));
  double real = 0;
  if (const auto [stop, failed] = std::from_chars(text.data(), end, real); failed == std::errc{} && stop == end)
    return literal(as_json(real));
  return literal(as_json(text));  // complex, or beyond all types: its text tells it apart
}

Expr Expressions::primary() {
  const Deeper deeper(depth_, in_);
  switch (in_.now().kind) {
    case Token::Kind::Number: return number();
    case Token::Kind::Text: {
      std::string text;  // texts side by side are one
      for (; in_.is(Token::Kind::Text); in_.step()) text += unquoted(in_.now().text);
      return literal(as_json(text));
    }
    case Token::Kind::Name: {
      const std::string name = in_.need_name();
      if (name == "None") return literal("null");
      if (name == "True" || name == "False") return literal(name == "True" ? "true" : "false");
      if (name == "inf" || name == "nan") return literal("\"" + name + "\"");
      return {Kind::Name, name, {}, {}};
    }
    case Token::Kind::Symbol:
      if (in_.take_symbol("(")) return bracketed(")");
      if (in_.take_symbol("[")) return bracketed("]");
      if (in_.take_symbol("{")) return dict();
      if (in_.take_symbol("...")) return literal("\"...\"");
      break;
    case Token::Kind::NewLine:
    case Token::Kind::Indent:
    case Token::Kind::Dedent:
    case Token::Kind::End: break;
  }
  throw in_.odd("an expression is missing in the code");
}

}  // namespace tenon::model::script
