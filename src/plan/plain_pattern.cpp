#include "plan/plain_pattern.hpp"

namespace tenon::plan {
namespace {

constexpr std::string_view kSpecial = R"(\^$.|?*+()[]{})";

bool is_digit(char c) { return c >= '0' && c <= '9'; }

/// One literal character, escaped or not; moves behind it. Nothing for anything else, escapes of letters and digits
/// too.
std::optional<char> literal_at(std::string_view text, std::size_t& at) {
  if (text[at] == '\\') {
    if (at + 1 >= text.size() || kSpecial.find(text[at + 1]) == std::string_view::npos) return std::nullopt;
    at += 2;
    return text[at - 1];
  }
  if (kSpecial.find(text[at]) != std::string_view::npos) return std::nullopt;
  return text[at++];
}

/// `a|b)` behind an opening parenthesis; moves behind the closing one.
std::optional<std::vector<std::string>> alternatives_at(std::string_view text, std::size_t& at) {
  std::vector<std::string> result{""};
  while (at < text.size()) {
    if (text[at] == ')') {
      ++at;
      return result;
    }
    if (text[at] == '|') {
      result.emplace_back();
      ++at;
      continue;
    }
    const auto c = literal_at(text, at);
    if (!c) return std::nullopt;
    result.back() += *c;
  }
  return std::nullopt;
}

bool take(std::string_view text, std::size_t& at, std::string_view what) {
  if (text.substr(at, what.size()) != what) return false;
  at += what.size();
  return true;
}

}  // namespace

std::optional<PlainPattern> PlainPattern::parse(std::string_view text) {
  PlainPattern pattern;
  auto& atoms = pattern.atoms_;
  for (std::size_t at = 0; at < text.size();) {
    if (!atoms.empty() && atoms.back().kind == Kind::Rest) return std::nullopt;
    if (take(text, at, R"((\d+))") || take(text, at, R"(\d+)")) {
      atoms.push_back({Kind::Digits, {}, text[at - 1] == ')', false});
    } else if (take(text, at, "(.*)") || take(text, at, "(.+)")) {
      atoms.push_back({Kind::Rest, {}, true, text[at - 2] == '*'});
    } else if (text[at] == '(') {
      auto alternatives = alternatives_at(text, ++at);
      if (!alternatives) return std::nullopt;
      atoms.push_back({Kind::Alternatives, std::move(*alternatives), true, false});
    } else {
      const auto c = literal_at(text, at);
      if (!c) return std::nullopt;
      if (atoms.empty() || atoms.back().kind != Kind::Literal) atoms.push_back({Kind::Literal, {""}, false, false});
      atoms.back().texts[0] += *c;
    }
    // A quantifier would belong to what stands before it.
    if (at < text.size() && std::string_view("*+?{").find(text[at]) != std::string_view::npos) return std::nullopt;
  }
  // Digits take all there are: right only where no digit must follow.
  for (std::size_t i = 0; i + 1 < atoms.size(); ++i)
    if (atoms[i].kind == Kind::Digits && (atoms[i + 1].kind != Kind::Literal || is_digit(atoms[i + 1].texts[0][0])))
      return std::nullopt;
  return pattern;
}

struct PlainPattern::Search {
  std::string_view name;
  Groups groups;
  std::vector<bool> failed;  ///< by atom and position: alternatives that overlap cost no more
};

bool PlainPattern::match(Search& search, std::size_t atom, std::size_t at) const {
  if (atom == atoms_.size()) return at == search.name.size();
  const Atom& here = atoms_[atom];
  const std::string_view rest = search.name.substr(at);
  if (here.kind == Kind::Literal)
    return rest.starts_with(here.texts[0]) && match(search, atom + 1, at + here.texts[0].size());
  const auto go_on = [&](std::size_t length) {
    if (here.is_group) search.groups.push_back(rest.substr(0, length));
    if (match(search, atom + 1, at + length)) return true;
    if (here.is_group) search.groups.pop_back();
    return false;
  };
  if (here.kind == Kind::Rest)
    return (here.may_be_empty || !rest.empty()) && rest.find_first_of("\n\r") == rest.npos && go_on(rest.size());
  if (here.kind == Kind::Digits) {
    std::size_t length = 0;
    while (length < rest.size() && is_digit(rest[length])) ++length;
    return length > 0 && go_on(length);
  }
  const std::size_t state = atom * (search.name.size() + 1) + at;
  if (search.failed.empty()) search.failed.resize(atoms_.size() * (search.name.size() + 1));
  if (search.failed[state]) return false;
  for (const std::string& text : here.texts)
    if (rest.starts_with(text) && go_on(text.size())) return true;
  search.failed[state] = true;
  return false;
}

std::optional<std::string> PlainPattern::replaced(std::string_view name, std::string_view to) const {
  Search search{name, {}, {}};
  if (!match(search, 0, 0)) return std::nullopt;
  std::string result;
  for (std::size_t i = 0; i < to.size(); ++i) {
    const char next = to[i] == '$' && i + 1 < to.size() ? to[i + 1] : '\0';
    if (next == '$') {
      result += '$';
      ++i;
    } else if (next == '&') {
      result += name;
      ++i;
    } else if (is_digit(next) && next != '0') {
      const auto group = static_cast<std::size_t>(next - '1');
      if (group < search.groups.size()) result += search.groups[group];
      ++i;
    } else {
      result += to[i];
    }
  }
  return result;
}

}  // namespace tenon::plan
