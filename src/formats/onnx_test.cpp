#include "formats/onnx.hpp"

#include <gtest/gtest.h>

#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "base/cursor.hpp"
#include "formats/side_file.hpp"
#include "support/folder.hpp"

namespace tenon::formats {
namespace {

// ---- a writer of messages, as small as can be

std::string varint(std::uint64_t number) {
  std::string out;
  for (; number >= 0x80; number >>= 7) out += static_cast<char>(static_cast<unsigned char>(number | 0x80));
  return out + static_cast<char>(static_cast<unsigned char>(number));
}
std::string number(int field, std::uint64_t value) {
  return varint(static_cast<std::uint64_t>(field) << 3) + varint(value);
}
std::string bytes(int field, const std::string& value) {
  return varint(static_cast<std::uint64_t>(field) << 3 | 2) + varint(value.size()) + value;
}
std::string fixed32(int field, const std::string& value) {
  return varint(static_cast<std::uint64_t>(field) << 3 | 5) + value;
}

std::string dims(const std::vector<std::uint64_t>& extents) {
  std::string out;
  for (const std::uint64_t extent : extents) out += number(1, extent);
  return out;
}

/// A TensorProto called `w`.
std::string tensor(int type, const std::vector<std::uint64_t>& extents, const std::string& elements) {
  return dims(extents) + number(2, static_cast<std::uint64_t>(type)) + bytes(8, "w") + elements;
}
std::string raw(const std::string& data) { return bytes(9, data); }

std::string model(const std::string& graph) {
  return number(1, 7) + bytes(2, "pytorch") + bytes(3, "2.1") + bytes(7, graph);
}
std::string of(const std::string& tensor_proto) { return model(bytes(5, tensor_proto)); }

std::string node(const std::string& output, const std::string& name, const std::string& type,
                 const std::string& attribute) {
  return bytes(2, output) + bytes(3, name) + bytes(4, type) + bytes(5, attribute);
}
std::string external(const std::string& location, const std::string& offset = "", const std::string& length = "") {
  std::string out = bytes(13, bytes(1, "location") + bytes(2, location));
  if (!offset.empty()) out += bytes(13, bytes(1, "offset") + bytes(2, offset));
  if (!length.empty()) out += bytes(13, bytes(1, "length") + bytes(2, length));
  return out + number(14, 1);
}

struct Onnx : test::TemporaryFolder {
  std::shared_ptr<CheckpointCore> open(std::string_view content, Salvage salvage = Salvage::No) const {
    test::put(path("f"), content);
    return open_onnx({path("f"), io::MappedFile::open(path("f"), ReadMode::Map), {.salvage = salvage}});
  }
};

/// `name dtype [shape] bytes` of every row.
std::vector<std::string> rows_of(const std::shared_ptr<CheckpointCore>& core) {
  constexpr char kDigits[] = "0123456789abcdef";
  std::vector<std::string> rows;
  for (std::size_t i = 0; i < core->tensors.size(); ++i) {
    const TensorInfo& row = core->tensors[i];
    std::string shape, content;
    for (const std::int64_t extent : row.shape) shape += (shape.empty() ? "" : ",") + std::to_string(extent);
    if (row.storage == kNoStorage) content = "-";
    if (row.storage != kNoStorage)
      for_each_block(Checkpoint(core).tensor(i), [&](std::span<const std::byte> piece) {
        for (const std::byte byte : piece) {
          content += kDigits[std::to_integer<int>(byte) >> 4];
          content += kDigits[std::to_integer<int>(byte) & 15];
        }
      });
    rows.push_back(row.name + " " + std::string(dtype_name(row.dtype)) + " [" + shape + "] " + content);
  }
  return rows;
}

// ---- what is read

struct Good {
  const char* name;
  std::string file;
  std::vector<std::string> rows;
};
void PrintTo(const Good& good, std::ostream* out) { *out << good.name; }

class GoodModel : public Onnx, public testing::WithParamInterface<Good> {};

TEST_P(GoodModel, IsListedWithItsBytes) {
  EXPECT_TRUE(looks_like_onnx(base::as_bytes(GetParam().file)));
  EXPECT_EQ(rows_of(open(GetParam().file)), GetParam().rows);
}

const std::string kInner =
    bytes(1, node("c", "const", "Constant", bytes(1, "value") + bytes(5, tensor(2, {1}, raw("a")))));

INSTANTIATE_TEST_SUITE_P(
    Table, GoodModel,
    testing::Values(
        Good{"raw", of(tensor(1, {1, 2}, raw("abcdefgh"))), {"w float32 [1,2] 6162636465666768"}},
        Good{"scalar", of(tensor(3, {}, raw("\xff"))), {"w int8 [] ff"}},
        Good{"empty", of(tensor(1, {0, 2}, "")), {"w float32 [0,2] "}},
        Good{
            "packed_dims", of(bytes(1, "\x02\x01") + number(2, 2) + bytes(8, "w") + raw("ab")), {"w uint8 [2,1] 6162"}},
        Good{"packed_floats", of(tensor(1, {2}, bytes(4, "abcdefgh"))), {"w float32 [2] 6162636465666768"}},
        Good{"floats_in_two_runs",
             of(tensor(1, {2}, bytes(4, "abcd") + bytes(4, "efgh"))),
             {"w float32 [2] 6162636465666768"}},
        Good{"single_floats",
             of(tensor(1, {2}, fixed32(4, "abcd") + fixed32(4, "efgh"))),
             {"w float32 [2] 6162636465666768"}},
        Good{"complex", of(tensor(14, {1}, bytes(4, "abcdefgh"))), {"w complex64 [1] 6162636465666768"}},
        Good{"doubles", of(tensor(11, {1}, bytes(10, "abcdefgh"))), {"w float64 [1] 6162636465666768"}},
        Good{"packed_int64",
             of(tensor(7, {2}, bytes(7, varint(5) + varint(~std::uint64_t{0})))),
             {"w int64 [2] 0500000000000000ffffffffffffffff"}},
        Good{"single_int64",
             of(tensor(7, {2}, number(7, 5) + number(7, 300))),
             {"w int64 [2] 05000000000000002c01000000000000"}},
        Good{"uint32_in_uint64_data", of(tensor(12, {1}, number(11, 0xFFFFFFFF))), {"w uint32 [1] ffffffff"}},
        Good{"int16_in_int32_data",
             of(tensor(5, {2}, bytes(5, varint(~std::uint64_t{0}) + varint(300)))),
             {"w int16 [2] ffff2c01"}},
        Good{"half_in_int32_data", of(tensor(10, {1}, number(5, 0x3C00))), {"w float16 [1] 003c"}},
        Good{"bfloat16_in_int32_data", of(tensor(16, {1}, number(5, 0x3F80))), {"w bfloat16 [1] 803f"}},
        Good{"bool_in_int32_data", of(tensor(9, {2}, bytes(5, std::string("\1\0", 2)))), {"w bool [2] 0100"}},
        Good{"float8", of(tensor(17, {1}, raw("\x38"))), {"w float8_e4m3fn [1] 38"}},
        Good{"float8_e8m0", of(tensor(24, {1}, number(5, 127))), {"w float8_e8m0fnu [1] 7f"}},
        Good{"uint4", of(tensor(21, {3}, raw("\x21\x0f"))), {"w uint4 [3] 01020f"}},
        Good{"int4", of(tensor(22, {3}, raw("\xf1\x08"))), {"w int4 [3] 01fff8"}},
        Good{"int4_in_int32_data", of(tensor(22, {3}, number(5, 0xF1) + number(5, 8))), {"w int4 [3] 01fff8"}},
        Good{"uint2", of(tensor(25, {5}, raw("\xe4\x01"))), {"w uint2 [5] 0001020301"}},
        Good{"float4", of(tensor(23, {3}, raw("\x21\x03"))), {"w F4 [3] 2103"}},
        Good{"float4_in_int32_data", of(tensor(23, {3}, number(5, 0x21) + number(5, 3))), {"w F4 [3] 2103"}},
        Good{"text", of(tensor(8, {2}, bytes(6, "a") + bytes(6, "bc"))), {"w string [2] -"}},
        Good{"constant", model(kInner), {"c.<attr:value> uint8 [1] 61"}},
        Good{"constant_without_output",
             model(bytes(1, bytes(3, "n") + bytes(5, bytes(1, "value") + bytes(5, tensor(2, {1}, raw("a")))))),
             {"n.<attr:value> uint8 [1] 61"}},
        Good{"subgraph",
             model(bytes(1, node("x", "if_1", "If",
                                 bytes(1, "then_branch") + bytes(6, kInner + bytes(5, tensor(2, {1}, raw("b"))))))),
             {"if_1.c.<attr:value> uint8 [1] 61", "w uint8 [1] 62"}},
        Good{"subgraph_of_a_node_without_name",
             model(bytes(1, node("x", "", "Loop", bytes(6, kInner)))),
             {"Loop.c.<attr:value> uint8 [1] 61"}},
        Good{"list_of_tensors",
             model(bytes(1, node("x", "n", "T",
                                 bytes(1, "ts") + bytes(10, tensor(2, {1}, raw("a"))) +
                                     bytes(10, tensor(2, {1}, raw("b")))))),
             {"x.<attr:ts>.0 uint8 [1] 61", "x.<attr:ts>.1 uint8 [1] 62"}},
        Good{"sparse",
             model(bytes(15,
                         bytes(1, tensor(2, {1}, raw("a"))) + bytes(2, tensor(7, {1}, number(7, 3))) + number(3, 9))),
             {"w.<indices> int64 [1] 0300000000000000", "w.<values> uint8 [1] 61"}},
        Good{"unknown_fields",
             of(tensor(2, {1}, raw("a")) + number(99, 1) + bytes(98, "x")) + bytes(25, ""),
             {"w uint8 [1] 61"}},
        Good{"two_graphs",
             of(tensor(2, {1}, raw("a"))) + bytes(7, bytes(5, tensor(2, {1}, raw("b")))),
             {"w uint8 [1] 61", "w uint8 [1] 62"}}),
    [](const auto& row) { return row.param.name; });

TEST_F(Onnx, VersionProducerAndMetadataAreTold) {
  const auto core =
      open(of(tensor(2, {1}, raw("a"))) + bytes(8, number(2, 13)) + bytes(14, bytes(1, "author") + bytes(2, "me")));
  EXPECT_EQ(core->format_version, "7");
  EXPECT_EQ(core->producer, "pytorch 2.1");
  const std::vector<std::pair<std::string, std::string>> wanted{{"author", "me"}, {"opset_import", "ai.onnx 13"}};
  EXPECT_EQ(core->metadata, wanted);
}

// ---- external data

TEST_F(Onnx, ExternalDataStandBelowTheFolder) {
  std::filesystem::create_directory(folder() / "sub");
  test::put(path("sub/w.bin"), "....abcd");
  for (const std::string length : {"", "4"})
    EXPECT_EQ(rows_of(open(of(tensor(2, {4}, external("sub/w.bin", "4", length))))),
              std::vector<std::string>{"w uint8 [4] 61626364"});
  EXPECT_EQ(rows_of(open(of(tensor(22, {3}, external("./sub/w.bin", "4"))))),
            std::vector<std::string>{"w int4 [3] 010602"});
}

struct Outside {
  const char* name;
  std::string location, offset = {}, length = {};
  Code code = Code::Corrupt;
};
void PrintTo(const Outside& outside, std::ostream* out) { *out << outside.name; }

struct ExternalData : Onnx, testing::WithParamInterface<Outside> {};

TEST_P(ExternalData, IsRefused) {
  std::filesystem::create_directory(folder() / "sub");
  test::put(path("sub/w.bin"), "abcdefgh");
  std::filesystem::create_symlink(path("sub/w.bin"), folder() / "link.bin");
  std::filesystem::create_directory_symlink(path("sub"), folder() / "linked");
  try {
    open(of(tensor(2, {4}, external(GetParam().location, GetParam().offset, GetParam().length))));
    FAIL() << "it was opened";
  } catch (const Error& error) {
    EXPECT_EQ(error.code, GetParam().code) << error.what();
    EXPECT_FALSE(error.where.file.empty());
  }
}

INSTANTIATE_TEST_SUITE_P(Table, ExternalData,
                         testing::Values(Outside{"up", "../w.bin"}, Outside{"up_below", "sub/../../w.bin"},
                                         Outside{"up_and_back", "sub/../sub/w.bin"}, Outside{"absolute", "/etc/passwd"},
                                         Outside{"drive", "C:w.bin"}, Outside{"backslash", "..\\w.bin"},
                                         Outside{"no_name", ""}, Outside{"zero_byte", std::string("sub/w.bin\0x", 11)},
                                         Outside{"missing", "sub/none.bin", "", "", Code::NotFound},
                                         Outside{"link", "link.bin", "", "", Code::Read},
                                         Outside{"linked_folder", "linked/w.bin", "", "", Code::Read},
                                         Outside{"folder", "sub", "", "", Code::Read},
                                         Outside{"past_the_end", "sub/w.bin", "5"},
                                         Outside{"past_64_bits", "sub/w.bin", "18446744073709551615"},
                                         Outside{"no_number", "sub/w.bin", "1x"},
                                         Outside{"negative", "sub/w.bin", "-1"},
                                         Outside{"other_length", "sub/w.bin", "0", "8"}),
                         [](const auto& row) { return row.param.name; });

// ---- what is refused

struct Bad {
  const char* name;
  std::string file;
  std::string what;
};
void PrintTo(const Bad& bad, std::ostream* out) { *out << bad.name; }

class BadModel : public Onnx, public testing::WithParamInterface<Bad> {};

TEST_P(BadModel, IsRefusedWithItsPlace) {
  try {
    open(GetParam().file);
    FAIL() << "it was opened";
  } catch (const Error& error) {
    EXPECT_TRUE(error.code == Code::Corrupt || error.code == Code::Limit || error.code == Code::Unsupported);
    EXPECT_EQ(error.where.file, path("f"));
    ASSERT_TRUE(error.where.byte) << error.what();
    EXPECT_LE(*error.where.byte, GetParam().file.size()) << error.what();
    EXPECT_NE(std::string(error.what()).find(GetParam().what), std::string::npos) << error.what();
  }
}

std::string nested(int graphs) {
  std::string graph = kInner;
  for (int i = 0; i < graphs; ++i) graph = bytes(1, node("x", "n", "If", bytes(6, graph)));
  return model(graph);
}

INSTANTIATE_TEST_SUITE_P(
    Table, BadModel,
    testing::Values(Bad{"short_raw", of(tensor(1, {1000}, raw("1234"))), "not as long"},
                    Bad{"long_raw", of(tensor(2, {1}, raw("12"))), "not as long"},
                    Bad{"no_elements", of(tensor(1, {2}, "")), "another number"},
                    Bad{"short_typed", of(tensor(1, {3}, bytes(4, "abcdefgh"))), "another number"},
                    Bad{"elements_of_another_type", of(tensor(7, {2}, bytes(4, "abcdefgh"))), "another number"},
                    Bad{"short_text", of(tensor(8, {2}, bytes(6, "a"))), "another number"},
                    Bad{"two_places", of(tensor(1, {1}, raw("1234") + bytes(4, "1234"))), "two places"},
                    Bad{"external_and_raw", of(tensor(1, {1}, raw("1234") + external("x"))), "two places"},
                    Bad{"cut_packed_floats", of(tensor(1, {1}, bytes(4, "abcde"))), "cut short"},
                    Bad{"cut_packed_integers", of(tensor(7, {1}, bytes(7, "\x80"))), "damaged"},
                    Bad{"integer_of_eleven_bytes", of(tensor(7, {1}, bytes(7, std::string(10, '\xff') + "\x01"))),
                        "damaged"},
                    Bad{"negative", of(tensor(1, {~std::uint64_t{0}}, "")), "negative"},
                    Bad{"overflow", of(tensor(1, {1ULL << 62, 1ULL << 62}, "")), "64 bits"},
                    Bad{"many_axes", of(tensor(1, std::vector<std::uint64_t>(70, 1), "")), "too many axes"},
                    Bad{"unknown_type", of(tensor(77, {1}, raw("a"))), "unknown element type"},
                    Bad{"no_type", of(bytes(8, "w")), "unknown element type"},
                    Bad{"segment", of(tensor(2, {1}, bytes(3, "") + raw("a"))), "segment"},
                    Bad{"wire_type_of_raw", of(tensor(2, {1}, number(9, 1))), "wire type"},
                    Bad{"wire_type_of_a_graph", number(1, 7) + number(7, 1), "wire type"},
                    Bad{"sparse_without_indices", model(bytes(15, bytes(1, tensor(2, {1}, raw("a"))))), "parts"},
                    Bad{"location_twice", of(tensor(2, {1}, external("a") + external("b"))), "stands twice"},
                    Bad{"deep", nested(40), "nested too deeply"},
                    Bad{"long_name", of(number(2, 2) + bytes(8, std::string(5000, 'n')) + raw("a")), "too long"},
                    Bad{"cut", of(tensor(1, {2}, raw("abcdefgh"))).substr(0, 30), "reaches past"}),
    [](const auto& row) { return row.param.name; });

TEST_F(Onnx, NamesThatRepeatWhatIsAroundThemMayBeLessLong) {
  const std::string graph = bytes(1, node("x", std::string(2000, 'n'), "If", bytes(6, kInner)));
  EXPECT_THROW(open(model(graph)), Error);
  EXPECT_EQ(open(of(number(2, 2) + dims({1}) + bytes(8, std::string(2000, 'n')) + raw("a")))->tensors.size(), 1U);
}

TEST_F(Onnx, DeepGraphsWithinTheLimitAreRead) { EXPECT_EQ(open(nested(30))->tensors.size(), 1U); }

TEST_F(Onnx, SalvageTakesWhatIsWhole) {
  const auto core =
      open(model(bytes(5, tensor(1, {9}, raw("1234"))) + bytes(5, tensor(2, {1}, raw("a")))), Salvage::Yes);
  EXPECT_EQ(rows_of(core), std::vector<std::string>{"w uint8 [1] 61"});
  EXPECT_EQ(core->warnings.size(), 1U);
}

TEST_F(Onnx, EveryTruncationIsAnErrorOrAnAnswer) {
  const std::string whole = model(kInner + bytes(5, tensor(1, {2}, bytes(4, "abcdefgh"))));
  for (std::size_t count = 0; count < whole.size(); ++count) {
    try {
      (void)rows_of(open(whole.substr(0, count)));
    } catch (const Error& error) {
      EXPECT_EQ(error.code, Code::Corrupt) << count;
    }
  }
}

TEST_F(Onnx, AChangedByteIsNeverMoreThanAnErrorOrAnAnswer) {
  std::string content = model(kInner + bytes(5, tensor(7, {2}, bytes(7, varint(5) + varint(300)))) +
                              bytes(5, tensor(22, {3}, raw("ab"))));
  for (std::size_t at = 0; at < content.size(); ++at)
    for (const int flip : {1, 2, 4, 8, 16, 32, 64, 128, 255}) {
      const char before = content[at];
      content[at] = static_cast<char>(before ^ flip);
      try {
        (void)rows_of(open(content));
      } catch (const Error&) {
      }
      content[at] = before;
    }
}

TEST(LooksLikeOnnx, IsNotFooledByOtherFiles) {
  for (const std::string& other :
       {std::string(), std::string("\x08\x07"), std::string("PK\3\4aaaaaaaa"), std::string("\x80\x02}q\x00.", 6),
        std::string("\x08\x07\x12\0\0\0\0\0{\"a\":{}}", 16), std::string("BBBBBBBBBBBBBBBB"),
        std::string("::::::::::::::::")})
    EXPECT_FALSE(looks_like_onnx(base::as_bytes(other))) << other;
}

}  // namespace
}  // namespace tenon::formats
