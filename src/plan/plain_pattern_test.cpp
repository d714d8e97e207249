#include "plan/plain_pattern.hpp"

#include <gtest/gtest.h>

#include <regex>

namespace tenon::plan {
namespace {

struct Row {
  const char* expression;
  const char* name;
  const char* to;
};

class SameAsStdRegex : public testing::TestWithParam<Row> {};

TEST_P(SameAsStdRegex, GivesWhatTheEngineGives) {
  const Row& row = GetParam();
  const auto pattern = PlainPattern::parse(row.expression);
  ASSERT_TRUE(pattern) << row.expression;
  std::smatch match;
  const std::string name = row.name;
  const bool matches = std::regex_match(name, match, std::regex(row.expression));
  const auto result = pattern->replaced(name, row.to);
  ASSERT_EQ(result.has_value(), matches);
  if (matches) {
    EXPECT_EQ(*result, match.format(row.to));
  }
}

INSTANTIATE_TEST_SUITE_P(
    Patterns, SameAsStdRegex,
    testing::Values(Row{R"(a\.(\d+)\.b)", "a.12.b", "x.$1.y"}, Row{R"(a\.(\d+)\.b)", "a.12.bc", "x.$1.y"},
                    Row{R"(a\.(\d+)\.(weight|bias))", "a.3.bias", "$2.$1"}, Row{R"((a|ab)(c|bcd))", "abcd", "$1-$2"},
                    Row{R"((a|ab)(bc|c)x)", "abcx", "[$1][$2]"}, Row{R"(m\.(.*))", "m.", "$1"},
                    Row{R"(m\.(.+))", "m.", "$1"}, Row{R"(m\.(.+))", "m.x.y", "n.$1"}, Row{R"(\d+x)", "12x", "$&$&"},
                    Row{"plain", "plain", "$$1"}, Row{"plain", "plain", "$9z"}, Row{R"(a(\d+))", "a", "$1"},
                    Row{R"((|x)a)", "a", "<$1>"}, Row{R"(a(.*))", "a\nb", "$1"}));

TEST(PlainPattern, LeavesOtherExpressionsToTheEngine) {
  for (const char* expression : {"(?!a)(.*)", "a.b", "a*", "[ab]", "(a|b)+", R"(\w)", "(a(b))", R"((\d+)(\d+))",
                                 R"((\d+)1)", R"(\d+?)", "(.*)a", "^a", "a{2}", "(a", "a)"})
    EXPECT_FALSE(PlainPattern::parse(expression)) << expression;
}

TEST(PlainPattern, OverlappingAlternativesDoNotExplode) {
  std::string expression, name;
  for (int i = 0; i < 60; ++i) expression += "(a|aa)";
  name.assign(100, 'a');
  name += 'b';
  EXPECT_FALSE(PlainPattern::parse(expression)->replaced(name, ""));
}

}  // namespace
}  // namespace tenon::plan
