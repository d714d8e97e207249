#include "model/script/tokens.hpp"

#include <algorithm>
#include <array>
#include <charconv>

#include "base/utf8.hpp"

namespace tenon::model::script {
namespace {

constexpr std::size_t kMaxIndents = 200;
constexpr std::array<std::string_view, 11> kLongSymbols{
    "->", "**", "//", "==", "!=", "<=", ">=", "<<", ">>", "+=", "..."};

bool is_name_start(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || (c & 0x80) != 0; }
bool is_digit(char c) { return c >= '0' && c <= '9'; }

class Lexer {
 public:
  Lexer(std::string_view source, const Place& place) : source_(source), place_(place) {}

  std::vector<Token> tokens() {
    while (at_ < source_.size()) {
      if (at_line_start_ && brackets_ == 0)
        start_line();
      else
        take_token();
    }
    if (!tokens_.empty() && tokens_.back().kind != Token::Kind::NewLine) add(Token::Kind::NewLine, 0);
    for (; indents_.size() > 1; indents_.pop_back()) add(Token::Kind::Dedent, 0);
    add(Token::Kind::End, 0);
    return std::move(tokens_);
  }

 private:
  char ahead(std::size_t steps = 0) const { return at_ + steps < source_.size() ? source_[at_ + steps] : '\0'; }

  void add(Token::Kind kind, std::size_t length) {
    tokens_.push_back({kind, source_.substr(std::min(at_, source_.size()), length), at_});
    at_ += length;
  }

  /// Blank lines and comments have no indentation.
  void start_line() {
    std::size_t width = 0;
    while (ahead(width) == ' ' || ahead(width) == '\t') ++width;
    at_ += width;
    if (ahead() == '\n' || ahead() == '\r' || ahead() == '#' || at_ >= source_.size()) {
      skip_line();
      return;
    }
    at_line_start_ = false;
    if (width > indents_.back()) {
      if (indents_.size() >= kMaxIndents) throw odd_code(place_, at_, "the code is indented too deeply");
      indents_.push_back(width);
      add(Token::Kind::Indent, 0);
    }
    for (; width < indents_.back(); indents_.pop_back()) add(Token::Kind::Dedent, 0);
    if (width != indents_.back()) throw odd_code(place_, at_, "a line of the code is indented like none before it");
  }

  void skip_line() {
    const auto end = source_.find('\n', at_);
    at_ = end == std::string_view::npos ? source_.size() : end + 1;
  }

  void take_token() {
    const char c = ahead();
    if (c == '\n') return end_line();
    if (c == ' ' || c == '\t' || c == '\r' || (c == '\\' && ahead(1) == '\n')) {
      at_ += c == '\\' ? 2 : 1;
      return;
    }
    if (c == '#') {  // up to the line feed, which ends the statement
      at_ = std::min(source_.find('\n', at_), source_.size());
      return;
    }
    if (is_name_start(c)) return add(Token::Kind::Name, name_length());
    if (is_digit(c) || (c == '.' && is_digit(ahead(1)))) return add(Token::Kind::Number, number_length());
    if (c == '"' || c == '\'') return add(Token::Kind::Text, text_length(c));
    take_symbol();
  }

  void end_line() {
    if (brackets_ > 0) {
      ++at_;
      return;
    }
    add(Token::Kind::NewLine, 1);
    at_line_start_ = true;
  }

  std::size_t name_length() const {
    std::size_t length = 1;
    while (is_name_start(ahead(length)) || is_digit(ahead(length))) ++length;
    return length;
  }

  /// Digits, a point, an exponent with its sign, `j`.
  std::size_t number_length() const {
    std::size_t length = 1;
    while (true) {
      const char c = ahead(length), before = ahead(length - 1);
      const bool is_sign = (c == '+' || c == '-') && (before == 'e' || before == 'E') && ahead(1) != 'x';
      if (!is_digit(c) && !is_name_start(c) && c != '.' && !is_sign) return length;
      ++length;
    }
  }

  std::size_t text_length(char quote) const {
    for (std::size_t length = 1; at_ + length < source_.size(); ++length) {
      const char c = ahead(length);
      if (c == '\\') ++length;
      if (c == quote) return length + 1;
      if (c == '\n') break;
    }
    throw odd_code(place_, at_, "a text in the code has no end");
  }

  void take_symbol() {
    for (const std::string_view symbol : kLongSymbols)
      if (source_.substr(at_).starts_with(symbol)) return add(Token::Kind::Symbol, symbol.size());
    const char c = ahead();
    if (std::string_view("()[]{},:.=+-*/%<>@&|^~").find(c) == std::string_view::npos)
      throw odd_code(place_, at_, "a character that the code of an archive has no use for", source_.substr(at_, 1));
    if (c == '(' || c == '[' || c == '{') ++brackets_;
    if ((c == ')' || c == ']' || c == '}') && brackets_ > 0) --brackets_;
    add(Token::Kind::Symbol, 1);
  }

  std::string_view source_;
  const Place& place_;
  std::size_t at_ = 0;
  std::size_t brackets_ = 0;
  bool at_line_start_ = true;
  std::vector<std::size_t> indents_{0};
  std::vector<Token> tokens_;
};

/// The character of an escape, or nothing.
char escaped(char c) {
  switch (c) {
    case 'n': return '\n';
    case 't': return '\t';
    case 'r': return '\r';
    case '\\':
    case '\'':
    case '"': return c;
    default: return '\0';
  }
}

}  // namespace

std::vector<Token> tokenize(std::string_view source, const Place& place) { return Lexer(source, place).tokens(); }

std::string unquoted(std::string_view token) {
  if (token.size() < 2) return {};
  token = token.substr(1, token.size() - 2);
  std::string text;
  for (std::size_t i = 0; i < token.size(); ++i) {
    const bool has_more = i + 1 < token.size();
    if (token[i] == '\\' && has_more && escaped(token[i + 1]) != '\0') {
      text += escaped(token[++i]);
    } else if (token[i] == '\\' && i + 3 < token.size() && token[i + 1] >= '0' && token[i + 1] <= '3') {
      unsigned code = 0;  // PyTorch prints bytes beyond ASCII as three octal digits
      const auto [end, failed] = std::from_chars(token.data() + i + 1, token.data() + i + 4, code, 8);
      if (failed == std::errc{} && end == token.data() + i + 4) {
        text += static_cast<char>(code);
        i += 3;
      } else {
        text += token[i];
      }
    } else {
      text += token[i];
    }
  }
  return base::to_valid_utf8(text);
}

Error odd_code(const Place& place, std::uint64_t at, std::string what, std::string_view found) {
  return Error(Code::Corrupt, {place.file, place.member, {}, at}, std::move(what), {},
               base::escape_for_terminal(std::string(found.substr(0, 40))));
}

}  // namespace tenon::model::script
