#include "base/utf8.hpp"

#include <gtest/gtest.h>

#include <string>

namespace tenon::base {
namespace {

struct EscapeRow {
  const char* name;
  std::string in;
  std::string out;
};
void PrintTo(const EscapeRow& row, std::ostream* os) { *os << row.name; }

class Escape : public testing::TestWithParam<EscapeRow> {};
TEST_P(Escape, LeavesNothingThatATerminalObeys) { EXPECT_EQ(escape_for_terminal(GetParam().in), GetParam().out); }

INSTANTIATE_TEST_SUITE_P(Table, Escape,
                         testing::Values(EscapeRow{"plain", "layer1.0.weight", "layer1.0.weight"},
                                         EscapeRow{"colour", "\x1b[31mred", "\\x1b[31mred"},
                                         EscapeRow{"newline", "a\nb", "a\\nb"}, EscapeRow{"bell", "\a", "\\x07"},
                                         EscapeRow{"c1_csi", "\xc2\x9b", "\\x9b"},
                                         EscapeRow{"right_to_left", "\xe2\x80\xae", "\\u{202e}"},
                                         EscapeRow{"zero_width", "a\xe2\x80\x8b", "a\\u{200b}"},
                                         EscapeRow{"lone_continuation", "a\x80z", "a\\x80z"},
                                         EscapeRow{"overlong", "\xc0\xaf", "\\xc0\\xaf"},
                                         EscapeRow{"surrogate", "\xed\xa0\x80", "\\xed\\xa0\\x80"},
                                         EscapeRow{"cut_off", "\xe2\x82", "\\xe2\\x82"},
                                         EscapeRow{"umlaut", "\xc3\xbc", "\xc3\xbc"},
                                         EscapeRow{"emoji", "\xf0\x9f\x99\x82", "\xf0\x9f\x99\x82"}),
                         [](const auto& row) { return row.param.name; });

TEST(Utf8, WellFormedTextIsTold) {
  EXPECT_TRUE(is_utf8("\xf4\x8f\xbf\xbf"));
  EXPECT_FALSE(is_utf8("\xf4\x90\x80\x80"));
  EXPECT_FALSE(is_utf8("\xff"));
  EXPECT_TRUE(is_utf8(""));
}

TEST(Utf8, WidthCountsColumns) {
  EXPECT_EQ(display_width("abc"), 3U);
  EXPECT_EQ(display_width("\xe6\xbc\xa2"), 2U);
  EXPECT_EQ(display_width("e\xcc\x81"), 1U);
}

TEST(Utf8, EveryLengthIsEncoded) {
  std::string out;
  for (const char32_t c : {U'a', U'\u00fc', U'\u20ac', U'\U0001f642'}) append_utf8(out, c);
  EXPECT_EQ(out, "a\xc3\xbc\xe2\x82\xac\xf0\x9f\x99\x82");
}

}  // namespace
}  // namespace tenon::base
