#include "container/pickle_writer.hpp"

#include <gtest/gtest.h>

#include <functional>
#include <limits>
#include <string>

#include <tenon/error.hpp>

namespace tenon::container {
namespace {

std::string hex(const std::string& bytes) {
  constexpr const char* kDigits = "0123456789abcdef";
  std::string out;
  for (const char c : bytes) {
    const auto byte = static_cast<unsigned char>(c);
    out += kDigits[byte / 16];
    out += kDigits[byte % 16];
  }
  return out;
}

struct Row {
  const char* name;
  std::function<void(PickleWriter&)> write;
  const char* bytes;  ///< hexadecimal, without PROTO 2 and STOP
};
void PrintTo(const Row& row, std::ostream* out) { *out << row.name; }

class Opcodes : public testing::TestWithParam<Row> {};

TEST_P(Opcodes, AreAsPythonReadsThem) {
  PickleWriter writer;
  GetParam().write(writer);
  EXPECT_EQ(hex(writer.finish()), "8002" + std::string(GetParam().bytes) + "2e");
}

// The bytes of integers and of `_codecs.encode` are those of CPython's pickle.dumps(value, 2) without its memo.
INSTANTIATE_TEST_SUITE_P(
    Table, Opcodes,
    testing::Values(
        Row{"none", [](auto& w) { w.none(); }, "4e"}, Row{"yes", [](auto& w) { w.boolean(true); }, "88"},
        Row{"byte", [](auto& w) { w.integer(255); }, "4bff"},
        Row{"two_bytes", [](auto& w) { w.integer(256); }, "4d0001"},
        Row{"four_bytes", [](auto& w) { w.integer(65536); }, "4a00000100"},
        Row{"minus_one", [](auto& w) { w.integer(-1); }, "4affffffff"},
        Row{"eight_bytes", [](auto& w) { w.integer(std::numeric_limits<std::int64_t>::min()); },
            "8a080000000000000080"},
        Row{"small_from_digits", [](auto& w) { w.big_integer("7"); }, "4b07"},
        Row{"beyond_64_bits", [](auto& w) { w.big_integer("18446744073709551616"); }, "8a09000000000000000001"},
        Row{"sign_needs_a_byte", [](auto& w) { w.big_integer("9223372036854775808"); }, "8a09000000000000008000"},
        Row{"negative_beyond_64_bits", [](auto& w) { w.big_integer("-9223372036854775809"); },
            "8a09ffffffffffffff7fff"},
        Row{"float_is_big_endian", [](auto& w) { w.real(1.5); }, "473ff8000000000000"},
        Row{"text", [](auto& w) { w.text("\xc3\xa9"); }, "5802000000c3a9"},
        Row{"bytes_by_latin1", [](auto& w) { w.bytes("\xff"); },
            "635f636f646563730a656e636f64650a285802000000c3bf58060000006c6174696e317452"},
        Row{"empty_dict_has_setitems", [](auto& w) { w.begin_dict(), w.end_dict(); }, "7d2875"},
        Row{"one_item_has_setitems",
            [](auto& w) {
              w.value({Mapping{"dict", {{{true}, {false}}}}});
            },
            "7d28888975"},
        Row{"list",
            [](auto& w) {
              w.value({Sequence{"list", {{true}}}});
            },
            "5d288865"},
        Row{"tuple",
            [](auto& w) {
              w.value({Sequence{"tuple", {{true}}}});
            },
            "288874"}),
    [](const auto& row) { return std::string(row.param.name); });

TEST(PickleWriter, AClassIsNoPlainValue) {
  PickleWriter writer;
  EXPECT_THROW(writer.value({Record{"os.system", {}, {}}}), Bug);
}

}  // namespace
}  // namespace tenon::container
