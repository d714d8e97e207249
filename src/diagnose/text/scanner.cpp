#include "diagnose/text/scanner.hpp"

#include <algorithm>
#include <cstdint>

namespace tenon::diagnosis {
namespace {

constexpr std::size_t kMaxNameBytes = 2'000;
constexpr std::size_t kMaxAxes = 64;

}  // namespace

std::string lowered(std::string_view text) {
  std::string result(text);
  std::transform(result.begin(), result.end(), result.begin(),
                 [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; });
  return result;
}

bool has_any(std::string_view text, std::span<const std::string_view> words) {
  return std::any_of(words.begin(), words.end(),
                     [&](std::string_view word) { return text.find(word) != std::string_view::npos; });
}

bool Scanner::find(std::string_view phrase) {
  const auto found = text_.find(phrase, at_);
  if (found == std::string_view::npos) return false;
  at_ = found + phrase.size();
  return true;
}

void Scanner::skip_spaces() {
  while (at_ < text_.size() && (text_[at_] == ' ' || text_[at_] == '\n')) ++at_;
}

bool Scanner::accept(std::string_view phrase) {
  const std::size_t start = at_;
  skip_spaces();
  if (text_.substr(at_).starts_with(phrase)) {
    at_ += phrase.size();
    return true;
  }
  at_ = start;
  return false;
}

std::optional<std::string> Scanner::until(std::string_view end, std::size_t limit) {
  const auto found = text_.substr(at_, limit + end.size()).find(end);
  if (found == std::string_view::npos) return std::nullopt;
  std::string passed(text_.substr(at_, found));
  at_ += found + end.size();
  return passed;
}

std::optional<std::string> Scanner::quoted() {
  const std::size_t start = at_;
  skip_spaces();
  if (at_ >= text_.size() || (text_[at_] != '"' && text_[at_] != '\'')) {
    at_ = start;
    return std::nullopt;
  }
  const char quote = text_[at_++];
  auto name = until(std::string_view(&quote, 1), kMaxNameBytes);
  if (!name) {
    at_ = start;
    return std::nullopt;
  }
  name->erase(std::remove_if(name->begin(), name->end(), [](char c) { return c == ' ' || c == '\n'; }), name->end());
  return name;
}

std::optional<std::string> Scanner::name() {
  const std::size_t start = at_;
  if (!accept("(")) return quoted();
  std::string levels;
  while (const auto level = quoted()) {
    levels += (levels.empty() ? "" : ".") + *level;
    if (!accept(",")) break;
  }
  if (!levels.empty() && accept(")")) return levels;
  at_ = start;
  return std::nullopt;
}

std::vector<std::string> Scanner::quoted_list(bool& is_cut) {
  std::vector<std::string> names;
  for (;;) {
    auto name = this->name();
    if (!name) break;
    if (name->ends_with("...")) {
      is_cut = true;
      name->resize(name->size() - 3);
      if (name->empty() || !name->ends_with('.')) break;  // half a name is no name
    }
    names.push_back(std::move(*name));
    if (!accept(",")) break;
  }
  if (accept("...") || accept("\xe2\x80\xa6")) is_cut = true;
  return names;
}

std::optional<Shape> Scanner::shape() {
  const std::size_t start = at_;
  accept("torch.Size");
  accept("(");
  accept("[");
  Shape extents;
  const auto is_digit = [&] { return at_ < text_.size() && text_[at_] >= '0' && text_[at_] <= '9'; };
  for (skip_spaces(); is_digit() && extents.size() < kMaxAxes; skip_spaces()) {
    std::int64_t extent = 0;
    for (; is_digit(); ++at_) {
      const std::int64_t digit = text_[at_] - '0';
      if (extent > (INT64_MAX - digit) / 10) break;
      extent = extent * 10 + digit;
    }
    if (is_digit()) break;  // beyond 64 bits
    extents.push_back(extent);
    if (!accept(",") && !accept("x")) break;
  }
  const bool is_closed = accept("]") || accept(")");
  if (!is_closed) {
    at_ = start;
    return std::nullopt;
  }
  accept(")");
  return extents;
}

}  // namespace tenon::diagnosis
