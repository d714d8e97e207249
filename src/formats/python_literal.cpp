#include "formats/python_literal.hpp"

#include <algorithm>
#include <optional>
#include <string_view>

#include "base/limit_error.hpp"
#include "base/utf8.hpp"
#include "container/pickle_text.hpp"

namespace tenon::formats {

namespace {

using base::Cursor;

class LiteralReader {
 public:
  LiteralReader(Cursor& in, std::uint64_t max_depth) : in_(in), max_depth_(max_depth) {}

  LiteralDict dict() {
    LiteralDict out;
    expect('{');
    while (next() != '}') {
      const std::uint64_t at = in_.position();
      std::string key = value().text;
      const auto is_known = [&](const auto& entry) { return entry.first == key; };
      if (key.empty() || std::any_of(out.begin(), out.end(), is_known))
        throw in_.error_at(at, Code::Corrupt, "a key of the header is no text, or stands twice", "each key once");
      expect(':');
      out.emplace_back(std::move(key), value());
      if (next() != ',') break;
      expect(',');
    }
    expect('}');
    if (next() != '\0' || !in_.at_end()) throw unexpected("white space until the header ends");
    return out;
  }

 private:
  /// The next byte that is no white space; 0 at the end.
  char next() {
    for (;;) {
      if (in_.at_end()) return '\0';
      const char c = base::as_text(in_.rest())[0];
      if (c != ' ' && c != '\n' && c != '\t' && c != '\r') return c;
      in_.skip(1, "white space");
    }
  }

  void expect(char wanted) {
    if (next() != wanted) throw unexpected(std::string("`") + wanted + "`");
    in_.skip(1, "the header");
  }

  Error unexpected(std::string expected) const {
    const std::string_view rest = base::as_text(in_.rest());
    return in_.error(Code::Corrupt, "the header is no Python literal", std::move(expected),
                     rest.empty() ? "the header's end" : "`" + base::escape_for_terminal(rest.substr(0, 20)) + "`",
                     "what stands there is never run; the file is damaged or forged");
  }

  Literal value() {
    Literal out;
    const char c = next();
    out.at = in_.position();
    if (c == '(' || c == '[') return sequence(std::move(out), c == '(' ? ')' : ']');
    if (c == '\'' || c == '"') return text(std::move(out));
    if (c == '-' || (c >= '0' && c <= '9')) return number(std::move(out));
    const std::string_view rest = base::as_text(in_.rest());
    if ((c == 'u' || c == 'b') && rest.size() > 1 && (rest[1] == '\'' || rest[1] == '"')) {
      in_.skip(1, "a prefix");
      return text(std::move(out));
    }
    return word(std::move(out));
  }

  Literal word(Literal out) {
    struct Word {
      std::string_view text;
      Literal::Kind kind;
      std::int64_t number;
    };
    constexpr Word kWords[] = {
        {"True", Literal::Kind::Boolean, 1}, {"False", Literal::Kind::Boolean, 0}, {"None", Literal::Kind::None, 0}};
    for (const Word& known : kWords) {
      if (!base::as_text(in_.rest()).starts_with(known.text)) continue;
      in_.skip(known.text.size(), known.text);
      out.kind = known.kind;
      out.number = known.number;
      return out;
    }
    throw unexpected("a literal: text, a number, True, False, None, a tuple or a list");
  }

  Literal number(Literal out) {
    out.kind = Literal::Kind::Number;
    const bool negative = base::as_text(in_.rest())[0] == '-';
    if (negative) in_.skip(1, "a sign");
    const std::string_view rest = base::as_text(in_.rest());
    const std::size_t digits = std::min(rest.find_first_not_of("0123456789"), rest.size());
    if (digits == 0) throw unexpected("digits");
    for (const char digit : rest.substr(0, digits))
      if (__builtin_mul_overflow(out.number, 10, &out.number) ||
          __builtin_add_overflow(out.number, digit - '0', &out.number))
        throw in_.error_at(out.at, Code::Corrupt, "a number of the header passes 64 bits", "fewer than 2^63");
    if (negative) out.number = -out.number;
    in_.skip(digits, "a number");
    const std::string_view after = base::as_text(in_.rest());
    if (after.starts_with('L') || after.starts_with('l')) in_.skip(1, "a suffix");
    return out;
  }

  Literal text(Literal out) {
    out.kind = Literal::Kind::Text;
    const std::string_view rest = base::as_text(in_.rest());
    std::size_t end = 1;
    while (end < rest.size() && rest[end] != rest[0]) end += rest[end] == '\\' ? 2 : 1;
    if (end >= rest.size()) throw unexpected("text with its closing quote");
    const auto resolved = container::unescape_string(rest.substr(1, end - 1));
    if (!resolved) throw unexpected("text with Python's escapes");
    out.text = *resolved;
    in_.skip(end + 1, "text");
    return out;
  }

  Literal sequence(Literal out, char close) {
    if (++depth_ > max_depth_)
      throw base::limit_error(in_.where(in_.position()), "the header nests too deeply",
                              {&Limits::npy_depth, max_depth_});
    out.kind = close == ')' ? Literal::Kind::Tuple : Literal::Kind::List;
    in_.skip(1, "a bracket");
    bool has_comma = false;
    while (next() != close) {
      out.items.push_back(value());
      if (next() != ',') break;
      has_comma = true;
      expect(',');
    }
    expect(close);
    --depth_;
    if (close == ')' && out.items.size() == 1 && !has_comma) return std::move(out.items.front());  // (4) is 4
    return out;
  }

  Cursor& in_;
  std::uint64_t max_depth_;
  std::uint64_t depth_ = 0;
};

}  // namespace

LiteralDict read_literal_dict(base::Cursor& in, std::uint64_t max_depth) { return LiteralReader(in, max_depth).dict(); }

}  // namespace tenon::formats
