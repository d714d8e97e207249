#include "plan/name_template.hpp"

#include <string_view>

namespace tenon::plan {
namespace {

constexpr std::string_view kSpecial = R"(\^$.|?*+()[]{})";

/// Literal text, or a group: its number, and its expression where the piece stands in one.
struct Piece {
  std::string text;
  std::size_t group = 0;  ///< from 1 on; 0 for a literal
};
using Pieces = std::vector<Piece>;

void add_literal(Pieces& pieces, char c) {
  if (pieces.empty() || pieces.back().group != 0) pieces.push_back({});
  pieces.back().text += c;
}

/// The end of a group that starts at `at`, behind its parenthesis; npos where it is no plain group.
std::size_t end_of_group(std::string_view expression, std::size_t at) {
  if (expression.substr(at + 1).starts_with("?")) return std::string_view::npos;
  bool in_class = false;
  for (std::size_t i = at + 1; i < expression.size(); ++i) {
    const char c = expression[i];
    if (c == '\\') {
      ++i;
    } else if (in_class || c == '[') {
      in_class = c != ']';
    } else if (c == '(') {
      return std::string_view::npos;
    } else if (c == ')') {
      return i + 1;
    }
  }
  return std::string_view::npos;
}

std::optional<Pieces> pieces_of_expression(std::string_view expression) {
  Pieces pieces;
  std::size_t groups = 0;
  for (std::size_t i = 0; i < expression.size(); ++i) {
    const char c = expression[i];
    if (c == '(') {
      const std::size_t end = end_of_group(expression, i);
      if (end == std::string_view::npos) return std::nullopt;
      pieces.push_back({std::string(expression.substr(i, end - i)), ++groups});
      i = end - 1;
    } else if (c == '\\') {
      // an escaped letter or digit is a class or a reference
      if (++i == expression.size() || kSpecial.find(expression[i]) == std::string_view::npos) return std::nullopt;
      add_literal(pieces, expression[i]);
    } else if (kSpecial.find(c) != std::string_view::npos) {
      return std::nullopt;
    } else {
      add_literal(pieces, c);
    }
  }
  return pieces;
}

bool is_digit(char c) { return c >= '0' && c <= '9'; }

std::optional<Pieces> pieces_of_name(std::string_view name) {
  Pieces pieces;
  for (std::size_t i = 0; i < name.size(); ++i) {
    if (name[i] != '$') {
      add_literal(pieces, name[i]);
      continue;
    }
    if (++i == name.size()) return std::nullopt;
    if (name[i] == '$') {
      add_literal(pieces, '$');
      continue;
    }
    const bool is_long = i + 1 < name.size() && is_digit(name[i + 1]);  // $12 may mean two things
    if (!is_digit(name[i]) || name[i] == '0' || is_long) return std::nullopt;
    pieces.push_back({{}, static_cast<std::size_t>(name[i] - '0')});
  }
  return pieces;
}

std::string literal_of_name(const std::string& text) {
  std::string result;
  for (const char c : text) result += c == '$' ? std::string("$$") : std::string(1, c);
  return result;
}

const Piece* group_of(const Pieces& pieces, std::size_t group) {
  for (const Piece& piece : pieces)
    if (piece.group == group) return &piece;
  return nullptr;
}

std::size_t groups_in(const Pieces& pieces) {
  std::size_t count = 0;
  for (const Piece& piece : pieces) count += piece.group != 0 ? 1U : 0U;
  return count;
}

}  // namespace

std::string escaped(const std::string& name) {
  std::string result;
  for (const char c : name) {
    if (kSpecial.find(c) != std::string_view::npos) result += '\\';
    result += c;
  }
  return result;
}

std::optional<TurnedParts> turned(const std::vector<std::string>& from, const std::string& to) {
  const auto name = pieces_of_name(to);
  if (!name || groups_in(*name) > 9) return std::nullopt;
  std::vector<Pieces> parts;
  for (const std::string& expression : from) {
    auto pieces = pieces_of_expression(expression);
    if (!pieces || groups_in(*pieces) != groups_in(*name)) return std::nullopt;
    parts.push_back(std::move(*pieces));
  }
  if (parts.empty()) return std::nullopt;
  TurnedParts result;
  std::vector<std::size_t> place(groups_in(*name) + 1, 0);  // of each group in the new expression
  std::size_t next = 0;
  for (const Piece& piece : *name) {
    if (piece.group == 0) {
      result.from += escaped(piece.text);
      continue;
    }
    const Piece* group = group_of(parts.front(), piece.group);
    if (group == nullptr || place[piece.group] != 0) return std::nullopt;
    place[piece.group] = ++next;
    result.from += group->text;
  }
  for (const Pieces& pieces : parts) {
    std::string back;
    for (const Piece& piece : pieces)
      back += piece.group == 0 ? literal_of_name(piece.text) : "$" + std::to_string(place[piece.group]);
    result.to.push_back(std::move(back));
  }
  return result;
}

std::optional<Turned> turned(const std::string& from, const std::string& to) {
  const auto parts = turned(std::vector<std::string>{from}, to);
  return parts ? std::optional(Turned{parts->from, parts->to.front()}) : std::nullopt;
}

}  // namespace tenon::plan
