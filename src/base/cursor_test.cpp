#include "base/cursor.hpp"

#include <gtest/gtest.h>

namespace tenon::base {
namespace {

TEST(Cursor, ReadsLittleEndianFieldsInOrder) {
  Cursor in(as_bytes(std::string_view("\x01\x02\x03\x04\x05\x06\x07\x08\x09\x0a\x0b", 11)), "f");
  EXPECT_EQ(in.u8("a"), 0x01);
  EXPECT_EQ(in.u16("b"), 0x0302);
  EXPECT_EQ(in.u64("c"), 0x0b0a090807060504U);
  EXPECT_TRUE(in.at_end());
}

TEST(Cursor, ReadsBigEndianDoubles) {
  Cursor in(as_bytes(std::string_view("\x3f\xf8\0\0\0\0\0\0", 8)), "f");
  EXPECT_EQ(in.f64_big_endian("x"), 1.5);
}

TEST(Cursor, AnErrorNamesFileMemberByteAndField) {
  Cursor in(as_bytes("abcdef"), "model.pt", "data.pkl", 100);
  in.skip(4, "head");
  try {
    in.u32("tensor count");
    FAIL() << "two bytes are left";
  } catch (const Error& error) {
    EXPECT_EQ(error.code, Code::Corrupt);
    EXPECT_EQ(error.where.file, "model.pt");
    EXPECT_EQ(error.where.member, "data.pkl");
    EXPECT_EQ(error.where.byte, 104U);
    EXPECT_NE(error.what_happened.find("tensor count"), std::string::npos);
    EXPECT_EQ(error.expected, "4 bytes");
    EXPECT_EQ(error.found, "2 bytes");
  }
}

TEST(Cursor, ACountNearTheEndOfTheNumbersDoesNotWrap) {
  Cursor in(as_bytes("abc"), "f");
  in.skip(1, "a");
  EXPECT_THROW(in.bytes(~std::uint64_t{0}, "huge"), Error);
  EXPECT_EQ(in.position(), 1U);
}

TEST(Cursor, ALineEndsAtItsNewline) {
  Cursor in(as_bytes("one\ntwo"), "f");
  EXPECT_EQ(in.line("first"), "one");
  EXPECT_THROW(in.line("second"), Error);
}

}  // namespace
}  // namespace tenon::base
