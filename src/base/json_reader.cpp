// Source: RFC 8259.
#include "base/json_reader.hpp"

#include <utility>

#include "base/limit_error.hpp"
#include "base/text.hpp"
#include "base/utf8.hpp"

namespace tenon::base {

namespace {

bool is_digit(char c) { return c >= '0' && c <= '9'; }
bool is_space(char c) { return c == ' ' || c == '\t' || c == '\n' || c == '\r'; }
bool is_high_surrogate(char32_t c) { return c >= 0xD800 && c <= 0xDBFF; }
bool is_low_surrogate(char32_t c) { return c >= 0xDC00 && c <= 0xDFFF; }

}  // namespace

JsonReader::JsonReader(std::string_view text, std::string file, std::uint64_t origin, std::uint64_t max_depth)
    : text_(text), file_(std::move(file)), origin_(origin), max_depth_(max_depth) {}

Error JsonReader::error(std::uint64_t at, std::string what, std::string expected, std::string found) const {
  return Error(Code::Corrupt, Where{file_, {}, {}, origin_ + at}, std::move(what), std::move(expected),
               std::move(found), "the file is damaged or was made by a faulty writer: fetch or save it again");
}

std::string JsonReader::found_here() const {
  if (position_ >= text_.size()) return "the end";
  return "`" + escape_for_terminal(text_.substr(position_, 12)) + "`";
}

void JsonReader::skip_space() {
  while (position_ < text_.size() && is_space(text_[position_])) ++position_;
}

void JsonReader::expect(char wanted, std::string_view what) {
  skip_space();
  if (look() != wanted || position_ >= text_.size())
    throw error(position_, "the JSON is malformed", std::string(what), found_here());
  ++position_;
}

JsonReader::Kind JsonReader::peek() {
  skip_space();
  const char c = look();
  switch (c) {
    case '{': return Kind::Object;
    case '[': return Kind::Array;
    case '"': return Kind::String;
    case 't':
    case 'f': return Kind::Bool;
    case 'n': return Kind::Null;
    default: break;
  }
  if (c == '-' || is_digit(c)) return Kind::Number;
  throw error(position_, "the JSON is malformed", "a value", found_here());
}

void JsonReader::open(char bracket, std::string_view what) {
  expect(bracket, what);
  if (stack_.size() >= max_depth_)
    throw limit_error(Where{file_, {}, {}, origin_ + position_}, "the JSON is nested too deeply",
                      {&Limits::json_depth, max_depth_});
  stack_.push_back(Awaits::First);
}

void JsonReader::begin_object() { open('{', "an object"); }
void JsonReader::begin_array() { open('[', "an array"); }

/// Steps over a comma to the next part of the innermost container, or over its closing bracket.
bool JsonReader::next_in(char closing) {
  TENON_ASSERT(!stack_.empty());
  skip_space();
  if (look() == closing) {
    ++position_;
    stack_.pop_back();
    return false;
  }
  if (std::exchange(stack_.back(), Awaits::Next) == Awaits::Next) expect(',', std::string("`,` or `") + closing + "`");
  return true;
}

std::optional<std::string_view> JsonReader::next_key() {
  if (!next_in('}')) return std::nullopt;
  const std::string_view key = raw_string("a member's name");
  expect(':', "`:`");
  return key;
}

bool JsonReader::next_element() { return next_in(']'); }

std::string_view JsonReader::string(std::string_view field) {
  if (peek() != Kind::String) throw error(position_, std::string(field) + " is not a string", "a string", found_here());
  return raw_string(field);
}

std::string_view JsonReader::raw_string(std::string_view field) {
  expect('"', field);
  const std::uint64_t start = position_;
  bool escaped = false;
  for (;; ++position_) {
    if (position_ >= text_.size()) throw error(start, "a string does not end", "`\"`", "the end");
    const char c = text_[position_];
    if (c == '"') break;
    if (static_cast<unsigned char>(c) < 0x20)
      throw error(position_, "a control character stands in a string", "an escape such as \\n", found_here());
    if (c != '\\') {
      if (escaped) unescaped_ += c;
      continue;
    }
    if (!escaped) unescaped_.assign(text_.substr(start, position_ - start));
    escaped = true;
    append_escape();
  }
  const std::string_view plain = text_.substr(start, position_ - start);
  ++position_;
  if (!is_utf8(plain)) throw error(start, "a string is not well-formed UTF-8", "UTF-8");
  return escaped ? std::string_view(unescaped_) : plain;
}

/// At a backslash; leaves the position on the escape's last character.
void JsonReader::append_escape() {
  const std::uint64_t start = position_++;
  constexpr std::string_view kLetters = "\"\\/bfnrt";
  constexpr std::string_view kMeans = "\"\\/\b\f\n\r\t";
  const std::size_t letter = kLetters.find(look());
  if (position_ < text_.size() && letter != std::string_view::npos) {
    unescaped_ += kMeans[letter];
    return;
  }
  if (look() != 'u')
    throw error(start, "an unknown escape stands in a string", "one of \\\" \\\\ \\/ \\b \\f \\n \\r \\t \\u");
  char32_t code_point = hex4();
  if (is_high_surrogate(code_point) && text_.substr(position_ + 1, 2) == "\\u") {
    position_ += 2;
    const char32_t low = hex4();
    if (!is_low_surrogate(low)) throw error(start, "a surrogate escape stands alone", "its other half");
    code_point = 0x10000 + ((code_point - 0xD800) << 10U) + (low - 0xDC00);
  } else if (is_high_surrogate(code_point) || is_low_surrogate(code_point)) {
    throw error(start, "a surrogate escape stands alone", "its other half");
  }
  append_utf8(unescaped_, code_point);
}

/// Four hexadecimal digits after the `u` at the position.
char32_t JsonReader::hex4() {
  char32_t number = 0;
  for (int i = 0; i < 4; ++i) {
    ++position_;
    const char c = look();
    const int digit = is_digit(c)            ? c - '0'
                      : c >= 'a' && c <= 'f' ? c - 'a' + 10
                      : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                             : -1;
    if (digit < 0) throw error(position_, "a \\u escape is cut short", "four hexadecimal digits", found_here());
    number = number * 16 + static_cast<char32_t>(digit);
  }
  return number;
}

std::int64_t JsonReader::unsigned_integer(std::string_view field) {
  const std::string_view kWanted = "a whole number of 0 and more";
  skip_space();
  const std::uint64_t start = position_;
  std::int64_t number = 0;
  while (is_digit(look())) {
    if (__builtin_mul_overflow(number, std::int64_t{10}, &number) ||
        __builtin_add_overflow(number, std::int64_t{look() - '0'}, &number))
      throw error(start, std::string(field) + " is too large", "less than 2^63");
    ++position_;
  }
  const bool leading_zero = position_ - start > 1 && text_[start] == '0';
  const char after = look();
  if (position_ == start || leading_zero || after == '.' || after == 'e' || after == 'E') {
    position_ = start;
    throw error(start, std::string(field) + " is no whole number", std::string(kWanted), found_here());
  }
  return number;
}

void JsonReader::literal(std::string_view word) {
  if (text_.substr(position_, word.size()) != word)
    throw error(position_, "the JSON is malformed", "a value", found_here());
  position_ += word.size();
}

void JsonReader::null() {
  skip_space();
  literal("null");
}

void JsonReader::number() {
  const std::uint64_t start = position_;
  const auto digits = [&] {
    const std::uint64_t first = position_;
    while (is_digit(look())) ++position_;
    return position_ - first;
  };
  if (look() == '-') ++position_;
  const bool zero = look() == '0';
  const std::uint64_t whole = digits();
  bool good = whole == 1 || (whole > 1 && !zero);
  if (good && look() == '.') {
    ++position_;
    good = digits() > 0;
  }
  if (good && (look() == 'e' || look() == 'E')) {
    ++position_;
    if (look() == '+' || look() == '-') ++position_;
    good = digits() > 0;
  }
  if (!good) throw error(start, "a number is malformed");
}

/// A scalar, or the opening of a container (then its bracket is pushed).
void JsonReader::skip_one(std::vector<char>& open_brackets) {
  switch (peek()) {
    case Kind::Object:
      begin_object();
      open_brackets.push_back('{');
      break;
    case Kind::Array:
      begin_array();
      open_brackets.push_back('[');
      break;
    case Kind::String: raw_string("a string"); break;
    case Kind::Number: number(); break;
    case Kind::Bool: literal(look() == 't' ? "true" : "false"); break;
    case Kind::Null: literal("null"); break;
  }
}

void JsonReader::skip_value() {
  std::vector<char> open_brackets;
  skip_one(open_brackets);
  while (!open_brackets.empty()) {
    const bool more = open_brackets.back() == '{' ? next_key().has_value() : next_element();
    if (more)
      skip_one(open_brackets);
    else
      open_brackets.pop_back();
  }
}

void JsonReader::end() {
  skip_space();
  if (position_ < text_.size())
    throw error(position_, "something stands after the JSON value", "nothing but spaces", found_here());
}

}  // namespace tenon::base
