#include "base/json_reader.hpp"

#include <gtest/gtest.h>

#include <string>

namespace tenon::base {
namespace {

JsonReader reader(std::string_view text) { return {text, "f", 0, 8}; }

void read_all(std::string_view text) {
  JsonReader json = reader(text);
  json.skip_value();
  json.end();
}

class Malformed : public testing::TestWithParam<const char*> {};
TEST_P(Malformed, IsRefused) { EXPECT_THROW(read_all(GetParam()), Error) << GetParam(); }
INSTANTIATE_TEST_SUITE_P(Table, Malformed,
                         testing::Values("", " ", "{", "[", "\"", "{\"a\"}", "{\"a\":}", "{\"a\":1,}", "[1,]", "[,1]",
                                         "[1 2]", "{1:2}", "01", "1.", ".5", "1e", "+1", "-", "nul", "tru", "NaN",
                                         "\"\\x\"", "\"\\u12\"", "\"\\ud800\"", "\"\\udc00\"", "\"\\ud800\\u0041\"",
                                         "\"\xff\"", "\"\n\"", "1 2", "{}x", "[[[[[[[[[1]]]]]]]]]", "{\"a\" 1}", "'a'",
                                         "\xef\xbb\xbf{}"));

class WellFormed : public testing::TestWithParam<const char*> {};
TEST_P(WellFormed, IsRead) { EXPECT_NO_THROW(read_all(GetParam())) << GetParam(); }
INSTANTIATE_TEST_SUITE_P(Table, WellFormed,
                         testing::Values("{}", "[]", " {\"a\" : [1, -2.5e+3, true, false, null, \"x\"] } ", "0", "-0",
                                         "\"\\ud83d\\ude42\"", "[[[[[[[[1]]]]]]]]"));

TEST(JsonReader, EscapesBecomeText) {
  JsonReader json = reader(R"({"\u00e9\ud83d\ude42\n\"": "plain"})");
  json.begin_object();
  EXPECT_EQ(json.next_key(), "\xc3\xa9\xf0\x9f\x99\x82\n\"");
  EXPECT_EQ(json.string("value"), "plain");
  EXPECT_EQ(json.next_key(), std::nullopt);
  json.end();
}

class NoWholeNumber : public testing::TestWithParam<const char*> {};
TEST_P(NoWholeNumber, IsRefused) {
  JsonReader json = reader(GetParam());
  EXPECT_THROW(json.unsigned_integer("size"), Error);
}
INSTANTIATE_TEST_SUITE_P(Table, NoWholeNumber,
                         testing::Values("-1", "1.0", "1e3", "01", "\"1\"", "9223372036854775808", "x", ""));

TEST(JsonReader, WholeNumbersReachTheEndOfTheirRange) {
  EXPECT_EQ(reader("9223372036854775807").unsigned_integer("n"), 9223372036854775807);
  EXPECT_EQ(reader("0").unsigned_integer("n"), 0);
}

TEST(JsonReader, AnErrorNamesTheByteInTheFile) {
  JsonReader json("{\"a\": x}", "model.safetensors", 8, 8);
  json.begin_object();
  json.next_key();
  try {
    json.skip_value();
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.where.byte, 8U + 6U);
    EXPECT_EQ(error.where.file, "model.safetensors");
  }
}

}  // namespace
}  // namespace tenon::base
