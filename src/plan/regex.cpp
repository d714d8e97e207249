#include "plan/plain_pattern.hpp"
#include "plan/regex.hpp"

#include <regex>
#include <utility>

#include <tenon/error.hpp>

#include "base/utf8.hpp"
#include "plan/limits.hpp"
#include "plan/state.hpp"

namespace tenon::plan {
namespace {

constexpr std::size_t kMaxRepeat = 99;   // `a{99}` is 99 copies of `a` in the compiled form
constexpr std::size_t kMaxGroup = 99;    // of a back-reference: the compiler adds its digits up without a check
constexpr std::size_t kMaxNesting = 32;  // groups within groups; the compiler of patterns recurses over them

Error bad_pattern(const std::string& pattern, Where place, std::string why) {
  if (place.key.empty()) place.key = base::to_valid_utf8(pattern.substr(0, 80));
  return Error(Code::Invalid, std::move(place), "the regular expression cannot be used",
               "an ECMAScript expression of at most " + std::to_string(kMaxPatternBytes) + " bytes", std::move(why));
}

/// What makes a short pattern large: deep groups and counted repeats.
void check_size(const std::string& pattern, const Where& place) {
  if (pattern.size() > kMaxPatternBytes) throw bad_pattern(pattern, place, std::to_string(pattern.size()) + " bytes");
  std::size_t depth = 0, number = 0, repeats = 0;
  bool in_repeat = false;
  for (const char c : pattern) {
    if (c == '(' && ++depth > kMaxNesting) throw bad_pattern(pattern, place, "more than 32 groups within groups");
    if (c == ')' && depth > 0) --depth;
    if (c == '{' && ++repeats > 2) throw bad_pattern(pattern, place, "more than 2 counted repeats");
    if (c == '{') in_repeat = true;
    if (c == '}') in_repeat = false;
    number = in_repeat && c >= '0' && c <= '9' ? number * 10 + static_cast<std::size_t>(c - '0') : 0;
    if (number > kMaxRepeat) throw bad_pattern(pattern, place, "a repeat of more than 99");
  }
}

void check_back_references(const std::string& pattern, const Where& place) {
  std::size_t number = 0;
  bool in_escape = false;
  for (std::size_t i = 0; i < pattern.size(); ++i) {
    const char c = pattern[i];
    const bool is_digit = c >= '0' && c <= '9';
    number = in_escape && is_digit ? number * 10 + static_cast<std::size_t>(c - '0') : 0;
    if (number > kMaxGroup) throw bad_pattern(pattern, place, "a back-reference to a group beyond 99");
    if (in_escape && is_digit) continue;
    in_escape = !in_escape && c == '\\';
  }
}

std::regex::flag_type flags() {
#ifdef __GLIBCXX__
  return std::regex::ECMAScript | std::regex_constants::__polynomial;
#else
  return std::regex::ECMAScript;
#endif
}

std::regex compile(const std::string& pattern, const Where& place) {
  check_size(pattern, place);
  check_back_references(pattern, place);
  try {
    return std::regex(pattern, flags());
  } catch (const std::regex_error& error) {
    throw bad_pattern(pattern, place, error.what());
  }
}

std::optional<std::string> by_regex(const std::regex& regex, const std::string& name, const std::string& to) {
  std::smatch match;
  try {
    if (!std::regex_match(name, match, regex)) return std::nullopt;
  } catch (const std::regex_error& error) {
    throw bad_pattern(name, {}, error.what());
  }
  return match.format(to);
}

}  // namespace

struct NamePattern::Compiled {
  std::regex regex;
  std::optional<PlainPattern> plain;  ///< the same expression, where it is a simple one: much faster
};

NamePattern::NamePattern(const std::string& pattern, Where place)
    : compiled_(std::make_unique<Compiled>(Compiled{compile(pattern, place), PlainPattern::parse(pattern)})) {}
NamePattern::~NamePattern() = default;

std::optional<std::string> NamePattern::replaced(const std::string& name, const std::string& to) const {
  if (to.size() > kMaxPatternBytes)
    throw bad_pattern(to, {}, "a replacement of " + std::to_string(to.size()) + " bytes");
  if (name.size() > kMaxMatchedNameBytes)
    throw Error(Code::Limit, {{}, {}, base::to_valid_utf8(name.substr(0, 80)), {}},
                "the name is too long for a regular expression",
                "at most " + std::to_string(kMaxMatchedNameBytes) + " bytes", std::to_string(name.size()));
  auto replacement = compiled_->plain ? compiled_->plain->replaced(name, to) : by_regex(compiled_->regex, name, to);
  if (!replacement) return std::nullopt;
  std::string result = std::move(*replacement);
  if (result.size() > kMaxNameBytes)
    throw Error(Code::Limit, {{}, {}, base::to_valid_utf8(name.substr(0, 80)), {}},
                "the replacement makes the name very long", "at most " + std::to_string(kMaxNameBytes) + " bytes",
                std::to_string(result.size()));
  return result;
}

}  // namespace tenon::plan
