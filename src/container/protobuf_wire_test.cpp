#include "container/protobuf_wire.hpp"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "base/cursor.hpp"

namespace tenon::container {
namespace {

const std::string kFile = "f";

/// Every field as `number:value` or `number:"text"`.
std::vector<std::string> fields_of(const std::string& bytes) {
  const Limits limits;
  WireReader in(base::as_bytes(bytes), kFile, 100, limits);
  std::vector<std::string> out;
  while (const auto field = in.next())
    out.push_back(
        std::to_string(field->number) + ":" +
        (field->type == WireType::Bytes ? "\"" + std::string(field->text()) + "\"" : std::to_string(field->value)));
  return out;
}

using Fields = std::vector<std::string>;

TEST(WireReader, ReadsEveryWireType) {
  EXPECT_EQ(fields_of("\x08\x96\x01"), Fields{"1:150"});
  EXPECT_EQ(fields_of("\x12\x02hi"), Fields{"2:\"hi\""});
  EXPECT_EQ(fields_of("\x1d\x01\x02\x03\x04"), Fields{"3:67305985"});
  EXPECT_EQ(fields_of(std::string("\x21\x01\0\0\0\0\0\0\0", 9)), Fields{"4:1"});
  EXPECT_EQ(fields_of("\xf8\xff\xff\xff\x0f\x01"), Fields{"536870911:1"});
  EXPECT_EQ(fields_of(std::string("\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01")), Fields{"1:18446744073709551615"});
}

TEST(WireReader, SkipsGroups) { EXPECT_EQ(fields_of("\x0b\x08\x01\x13\x14\x0c\x10\x05"), Fields{"2:5"}); }

struct Bad {
  const char* name;
  std::string bytes;
  Code code = Code::Corrupt;
};
void PrintTo(const Bad& bad, std::ostream* out) { *out << bad.name; }

class BadWire : public testing::TestWithParam<Bad> {};

TEST_P(BadWire, IsRefusedWithItsByte) {
  try {
    fields_of(GetParam().bytes);
    FAIL() << "it was read";
  } catch (const Error& error) {
    EXPECT_EQ(error.code, GetParam().code);
    ASSERT_TRUE(error.where.byte);
    EXPECT_GE(*error.where.byte, 100U);
    EXPECT_LE(*error.where.byte, 100U + GetParam().bytes.size());
  }
}

INSTANTIATE_TEST_SUITE_P(
    Table, BadWire,
    testing::Values(Bad{"cut_tag", "\x80"}, Bad{"cut_varint", "\x08\x80"}, Bad{"no_value", "\x08"},
                    Bad{"eleven_bytes", "\x08" + std::string(10, '\xff') + "\x01"}, Bad{"cut_bytes", "\x12\x03hi"},
                    Bad{"huge_length", "\x12\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"},
                    Bad{"cut_fixed32", "\x1d\x01\x02"}, Bad{"cut_fixed64", "\x21\x01"},
                    Bad{"number_0", std::string("\0\x01", 2)}, Bad{"wire_type_6", "\x0e"}, Bad{"wire_type_7", "\x0f"},
                    Bad{"number_too_large", "\x88\x80\x80\x80\x80\x01\x01"}, Bad{"end_without_group", "\x0c"},
                    Bad{"other_end", "\x0b\x14"}, Bad{"open_group", "\x0b\x08\x01"},
                    Bad{"deep_groups", std::string(200, '\x0b'), Code::Limit}),
    [](const auto& row) { return row.param.name; });

}  // namespace
}  // namespace tenon::container
