#include "render/page.hpp"

#include <gtest/gtest.h>

namespace tenon::rendering {
namespace {

struct CutCase {
  const char* name;
  const char* text;
  std::size_t width;
  bool unicode;
  const char* expected;
};
class CutMiddle : public testing::TestWithParam<CutCase> {};

TEST_P(CutMiddle, KeepsBothEnds) {
  const CutCase& row = GetParam();
  TextStyle style;
  style.unicode = row.unicode;
  EXPECT_EQ(cut_middle(row.text, row.width, style), row.expected);
}

INSTANTIATE_TEST_SUITE_P(
    Table, CutMiddle,
    testing::Values(CutCase{"fits", "layer1.weight", 13, false, "layer1.weight"},
                    CutCase{"ascii", "encoder.layer.11.output.weight", 20, false, "encoder.l...t.weight"},
                    CutCase{"unicode", "encoder.layer.11.output.weight", 20, true, "encoder.la…ut.weight"},
                    CutCase{"wide_characters_are_not_split", "層層層層層層", 8, true, "層層…層"},
                    CutCase{"combining_marks_stay",
                            "e\xcc\x81"
                            "abcdefgh",
                            6, true,
                            "e\xcc\x81"
                            "ab…gh"},
                    CutCase{"no_room_for_dots", "abcdef", 2, false, "ab"}, CutCase{"nothing", "", 0, true, ""}),
    [](const auto& row) { return row.param.name; });

struct WrapCase {
  const char* name;
  const char* text;
  std::size_t first, rest;
  std::vector<std::string> expected;
};
class Wrap : public testing::TestWithParam<WrapCase> {};

TEST_P(Wrap, BreaksAtBlanks) {
  const WrapCase& row = GetParam();
  EXPECT_EQ(wrap(row.text, row.first, row.rest), row.expected);
}

INSTANTIATE_TEST_SUITE_P(
    Table, Wrap,
    testing::Values(
        WrapCase{"short", "one two", 20, 20, {"one two"}}, WrapCase{"exact", "one two", 7, 7, {"one two"}},
        WrapCase{"breaks", "one two three", 7, 7, {"one two", "three"}},
        WrapCase{"later_lines_are_shorter", "one two three four", 13, 6, {"one two three", "four"}},
        WrapCase{"long_word_stays_whole", "see /a/very/long/path now", 8, 8, {"see", "/a/very/long/path", "now"}},
        WrapCase{"indent_stays", "   = why: a", 20, 20, {"   = why: a"}}, WrapCase{"empty", "", 10, 10, {""}}),
    [](const auto& row) { return row.param.name; });

struct QuoteCase {
  const char* name;
  const char* text;
  const char* expected;
};
class ShellQuoted : public testing::TestWithParam<QuoteCase> {};

TEST_P(ShellQuoted, IsOneWordForAShell) { EXPECT_EQ(shell_quoted(GetParam().text), GetParam().expected); }

INSTANTIATE_TEST_SUITE_P(Table, ShellQuoted,
                         testing::Values(QuoteCase{"plain", "runs/a-1.pth", "runs/a-1.pth"},
                                         QuoteCase{"blank", "my model.pth", "'my model.pth'"},
                                         QuoteCase{"quote", "it's.pth", "'it'\\''s.pth'"},
                                         QuoteCase{"dollar", "$HOME.pth", "'$HOME.pth'"},
                                         QuoteCase{"tilde", "~/a", "'~/a'"}, QuoteCase{"empty", "", "''"},
                                         QuoteCase{"letters", "modèle.pt", "'modèle.pt'"},
                                         QuoteCase{"escape", "a\x1b[31m\n'\\.pt", "$'a\\x1b[31m\\x0a\\'\\\\.pt'"},
                                         QuoteCase{"no_utf8", "a\xff", "$'a\\xff'"}),
                         [](const auto& row) { return row.param.name; });

TEST(Page, PaintsOnATerminalOnly) {
  TextStyle style;
  EXPECT_EQ(Page(style).paint(Ink::Red, "error"), "error");
  style.colour = true;
  EXPECT_EQ(Page(style).paint(Ink::Red, "error"), "\x1b[1;31merror\x1b[0m");
}

TEST(Page, ListsStopAtThreeUnlessAllIsAsked) {
  TextStyle style;
  Page cut(style);
  cut.list({"a", "b", "c", "d", "e"}, "  ");
  EXPECT_EQ(cut.take(), "  a\n  b\n  c\n  ... and 2 more (--all)\n");
  style.all = true;
  Page whole(style);
  whole.list({"a", "b", "c", "d"}, "  ");
  EXPECT_EQ(whole.take(), "  a\n  b\n  c\n  d\n");
}

}  // namespace
}  // namespace tenon::rendering
