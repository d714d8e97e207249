#include "formats/safetensors.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <memory>
#include <string>

#include "base/cursor.hpp"
#include "support/folder.hpp"

namespace tenon::formats {
namespace {

std::string file_of(std::string_view header, std::string_view data) {
  std::string file;
  for (int i = 0; i < 8; ++i)
    file += static_cast<char>(static_cast<unsigned char>(std::uint64_t{header.size()} >> (8 * i)));
  return file.append(header).append(data);
}

struct SafetensorsFiles : test::TemporaryFolder {
  std::shared_ptr<CheckpointCore> open(std::string_view bytes) const {
    test::put(path("f"), bytes);
    return open_safetensors({path("f"), io::MappedFile::open(path("f"), ReadMode::Map), {}});
  }
};

/// The smallest header that holds one tensor called `a` of two float32 zeros, with one part replaced.
std::string with(const std::string& dtype, const std::string& shape, const std::string& offsets) {
  return R"({"a":{"dtype":)" + dtype + R"(,"shape":)" + shape + R"(,"data_offsets":)" + offsets + "}}";
}
std::string many_axes() {
  std::string shape = "[1";
  for (int i = 0; i < 70; ++i) shape += ",1";
  return shape + "]";
}
const std::string kEight(8, '\0');

// ---- what is refused

struct Bad {
  const char* name;
  std::string file;
  std::string what;  ///< a part of the message
};
void PrintTo(const Bad& bad, std::ostream* out) { *out << bad.name; }

class BadHeader : public SafetensorsFiles, public testing::WithParamInterface<Bad> {};

TEST_P(BadHeader, IsRefusedWithItsPlace) {
  try {
    open(GetParam().file);
    FAIL() << "it was opened";
  } catch (const Error& error) {
    EXPECT_TRUE(error.code == Code::Corrupt || error.code == Code::Limit) << code_name(error.code);
    EXPECT_EQ(error.where.file, path("f"));
    ASSERT_TRUE(error.where.byte) << error.what();
    EXPECT_LE(*error.where.byte, GetParam().file.size()) << error.what();
    EXPECT_NE(std::string(error.what()).find(GetParam().what), std::string::npos) << error.what();
  }
}

const std::string kA = R"("a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]})";
const std::string kB = R"("b":{"dtype":"F32","shape":[2],"data_offsets":[)";

INSTANTIATE_TEST_SUITE_P(
    Table, BadHeader,
    testing::Values(
        Bad{"empty", "", "the header length"}, Bad{"seven_bytes", "1234567", "the header length"},
        Bad{"html", "<!DOCTYPE html><html>", "<!DOCTYPE html>"},
        Bad{"git_lfs", "version https://git-lfs.github.com/spec/v1\n", "git-lfs"},
        Bad{"length_beyond_the_cap", std::string("\x01\xe1\xf5\x05\0\0\0\0{}", 10), "the header is too long"},
        Bad{"length_beyond_the_end", std::string("\x09\0\0\0\0\0\0\0{}", 10), "longer than the file"},
        Bad{"no_json", file_of("hello", ""), "an object"}, Bad{"array", file_of("[]", ""), "an object"},
        Bad{"byte_order_mark", file_of("\xef\xbb\xbf{}", ""), "an object"},
        Bad{"two_values", file_of("{}{}", ""), "something stands after"},
        Bad{"zeros_as_padding", file_of(std::string("{}\0\0", 4), ""), "something stands after"},
        Bad{"unknown_dtype", file_of(with("\"F33\"", "[2]", "[0,8]"), kEight), "dtype is unknown"},
        Bad{"lower_case_dtype", file_of(with("\"f32\"", "[2]", "[0,8]"), kEight), "dtype is unknown"},
        Bad{"dtype_is_a_number", file_of(with("32", "[2]", "[0,8]"), kEight), "not a string"},
        Bad{"negative_extent", file_of(with("\"F32\"", "[-2]", "[0,8]"), kEight), "no whole number"},
        Bad{"float_extent", file_of(with("\"F32\"", "[2.0]", "[0,8]"), kEight), "no whole number"},
        Bad{"extent_with_exponent", file_of(with("\"F32\"", "[2e0]", "[0,8]"), kEight), "no whole number"},
        Bad{"extent_beyond_64_bits", file_of(with("\"F32\"", "[18446744073709551616]", "[0,8]"), kEight), "too large"},
        Bad{"product_overflows", file_of(with("\"F32\"", "[4294967296,4294967296]", "[0,8]"), kEight), "64 bits"},
        Bad{"product_overflows_before_zero", file_of(with("\"F32\"", "[4294967296,4294967296,0]", "[0,0]"), ""),
            "64 bits"},
        Bad{"too_many_axes", file_of(with("\"U8\"", many_axes(), "[0,1]"), "x"), "too many axes"},
        Bad{"one_offset", file_of(with("\"F32\"", "[2]", "[8]"), kEight), "two numbers"},
        Bad{"three_offsets", file_of(with("\"F32\"", "[2]", "[0,8,8]"), kEight), "two numbers"},
        Bad{"offsets_as_strings", file_of(with("\"F32\"", "[2]", "[\"0\",\"8\"]"), kEight), "no whole number"},
        Bad{"end_before_begin", file_of(with("\"F32\"", "[2]", "[8,0]"), kEight), "disagree"},
        Bad{"size_and_range_differ", file_of(with("\"F32\"", "[3]", "[0,8]"), kEight), "disagree"},
        Bad{"sub_byte_remainder", file_of(with("\"F4\"", "[3]", "[0,2]"), "xx"), "whole bytes"},
        Bad{"no_shape", file_of(R"({"a":{"dtype":"F32","data_offsets":[0,8]}})", kEight), "missing"},
        Bad{"member_twice", file_of(R"({"a":{"dtype":"F32","dtype":"F32","shape":[2],"data_offsets":[0,8]}})", kEight),
            "stands twice"},
        Bad{"name_twice", file_of("{" + kA + "," + kA + "}", kEight), "stands twice"},
        Bad{"name_twice_by_escape",
            file_of("{" + kA + R"(,"\u0061":{"dtype":"F32","shape":[2],"data_offsets":[8,16]}})", kEight + kEight),
            "stands twice"},
        Bad{"metadata_twice", file_of(R"({"__metadata__":{},"__metadata__":{}})", ""), "stands twice"},
        Bad{"metadata_key_twice", file_of(R"({"__metadata__":{"k":"1","k":"1"}})", ""), "stands twice"},
        Bad{"metadata_number", file_of(R"({"__metadata__":{"k":1}})", ""), "not a string"},
        Bad{"metadata_list", file_of(R"({"__metadata__":[]})", ""), "an object"},
        Bad{"lone_surrogate", file_of(R"({"\ud800":{}})", ""), "surrogate"},
        Bad{"not_utf8", file_of("{\"\xff\":{}}", ""), "UTF-8"},
        Bad{"deep", file_of(R"({"a":{"x":)" + std::string(5000, '['), ""), "nested"},
        Bad{"starts_with_a_hole", file_of(with("\"F32\"", "[2]", "[8,16]"), kEight + kEight), "hole"},
        Bad{"hole", file_of("{" + kA + "," + kB + "16,24]}}", kEight + kEight + kEight), "hole"},
        Bad{"overlap", file_of("{" + kA + "," + kB + "4,12]}}", kEight + "xxxx"), "overlaps"},
        Bad{"shared", file_of("{" + kA + "," + kB + "0,8]}}", kEight), "overlaps"},
        Bad{"data_cut", file_of("{" + kA + "}", "1234567"), "ends before"},
        Bad{"data_beyond", file_of("{" + kA + "}", "123456789"), "bytes follow"}),
    [](const auto& row) { return std::string(row.param.name); });

// ---- what is read

TEST_F(SafetensorsFiles, ReadsNamesShapesAndBytesWhereverTheyStand) {
  const auto core = open(file_of(
      R"({"__metadata__":{"format":"pt"},"z\u00e9":{"dtype":"I16","shape":[],"data_offsets":[3,5],"note":{"x":[1.5]}},)"
      R"("e":{"dtype":"F64","shape":[0,3],"data_offsets":[3,3]},"o":{"dtype":"U8","shape":[3,1],"data_offsets":[0,3]}}  )",
      "abcde"));
  ASSERT_EQ(core->tensors.size(), 3U);
  EXPECT_EQ(core->tensors[0].name, "o");
  EXPECT_EQ(core->tensors[1].name, "e");
  EXPECT_EQ(core->tensors[2].name, "z\xc3\xa9");
  EXPECT_EQ(core->tensors[2].dtype, DType::Int16);
  EXPECT_EQ(core->tensors[0].shape, (Shape{3, 1}));
  EXPECT_EQ(core->tensors[0].stride, (Stride{1, 1}));
  EXPECT_EQ(base::as_text(core->bytes_of(core->tensors[0].storage).view), "abc");
  EXPECT_EQ(base::as_text(core->bytes_of(core->tensors[2].storage).view), "de");
  ASSERT_EQ(core->metadata.size(), 1U);
  EXPECT_EQ(core->metadata[0].second, "pt");
}

TEST_F(SafetensorsFiles, SubByteTypesCountElements) {
  const auto core = open(file_of(with("\"F6_E2M3\"", "[2,4]", "[0,6]"), "abcdef"));
  EXPECT_EQ(core->tensors[0].shape, (Shape{2, 4}));
  EXPECT_EQ(core->storages[0].nbytes, 6U);
}

TEST_F(SafetensorsFiles, AHeaderWithoutTensorsIsAnAnswer) {
  EXPECT_TRUE(open(file_of("{}", ""))->tensors.empty());
  EXPECT_TRUE(open(file_of(R"({"__metadata__":null})", ""))->tensors.empty());
}

// ---- damage: an Error or an answer, never more

const std::string kSmall =
    file_of(R"({"__metadata__":{"format":"pt"},)" + kA + "," + kB + "8,16]}}", "0123456789abcdef");

/// Opens and touches all that was listed.
bool survives(const SafetensorsFiles& files, const std::string& bytes) {
  try {
    const auto core = files.open(bytes);
    for (const TensorInfo& tensor : core->tensors) (void)core->bytes_of(tensor.storage);
    return true;
  } catch (const Error&) {
    return false;
  }
}

TEST_F(SafetensorsFiles, EveryTruncationIsAnError) {
  ASSERT_TRUE(survives(*this, kSmall));
  for (std::size_t size = 0; size < kSmall.size(); ++size)
    EXPECT_FALSE(survives(*this, kSmall.substr(0, size))) << size;
}

TEST_F(SafetensorsFiles, EveryChangedByteIsAnErrorOrAnAnswer) {
  std::size_t answers = 0;
  for (std::size_t at = 0; at < kSmall.size(); ++at)
    for (const int value : {0x00, 0xff, 0x80, 0x22, 0x5c, 0x7b, 0x39, kSmall[at] ^ 1}) {
      std::string damaged = kSmall;
      damaged[at] = static_cast<char>(value);
      answers += survives(*this, damaged) ? 1 : 0;
    }
  EXPECT_GE(answers, 16U * 8U) << "data bytes may be anything";
  EXPECT_LT(answers, kSmall.size() * 8);
}

// ---- what is written

Tensor tensor_of(DType dtype, Shape shape, std::string_view text) {
  const auto bytes = base::as_bytes(text);
  return make_tensor(dtype, std::move(shape), {bytes.begin(), bytes.end()});
}

std::string written(const Snapshot& snapshot, Objects objects = Objects::Keep) {
  const Layout layout = lay_out_safetensors({snapshot, "out.safetensors", objects, Digests::None});
  std::string bytes;
  layout.write([&](std::span<const std::byte> piece) { bytes += base::as_text(piece); });
  EXPECT_EQ(bytes.size(), layout.file_bytes);
  return bytes;
}

TEST(SafetensorsWriter, OrdersByTypeThenNameAndPadsWithSpaces) {
  Snapshot snapshot;
  add_tensor(snapshot, "b", tensor_of(DType::UInt8, {2}, "bb"));
  add_tensor(snapshot, "a", tensor_of(DType::UInt8, {1}, "a"));
  add_tensor(snapshot, "w\"", tensor_of(DType::Float32, {}, "wwww"));
  std::string header =
      R"({"__metadata__":{"format":"pt"},"w\"":{"dtype":"F32","shape":[],"data_offsets":[0,4]},)"
      R"("a":{"dtype":"U8","shape":[1],"data_offsets":[4,5]},"b":{"dtype":"U8","shape":[2],"data_offsets":[5,7]}})";
  header.resize((header.size() + 7) / 8 * 8, ' ');
  EXPECT_EQ(written(snapshot), file_of(header, "wwwwabb"));
}

TEST(SafetensorsWriter, BeginsTheDataAtACacheLineWhereItStoresDigests) {
  for (std::size_t length = 1; length < 100; length += 9) {
    Snapshot snapshot;
    add_tensor(snapshot, std::string(length, 'n'), tensor_of(DType::UInt8, {1}, "a"));
    const Layout layout = lay_out_safetensors({snapshot, "out.safetensors", Objects::Keep, Digests::Write});
    EXPECT_EQ(layout.digests->data.front().offset % 64, 0U) << length;
  }
}

TEST(SafetensorsWriter, SortsMetadataAndKeepsAFormatThatIsThere) {
  Snapshot snapshot;
  add_tensor(snapshot, "a", tensor_of(DType::UInt8, {1}, "a"));
  snapshot.metadata = {{"z", "\x01"}, {"format", "np"}};
  EXPECT_NE(written(snapshot).find(R"({"__metadata__":{"format":"np","z":"\u0001"})"), std::string::npos);
}

void expect_refused(const Snapshot& snapshot, std::string_view found) {
  try {
    (void)lay_out_safetensors({snapshot, "out.safetensors", Objects::Keep});
    FAIL() << "it was laid out";
  } catch (const Error& error) {
    EXPECT_EQ(error.code, Code::Refused);
    EXPECT_NE(error.found.find(found), std::string::npos) << error.what();
  }
}

TEST(SafetensorsWriter, RefusesWhatTheFormatCannotHold) {
  Snapshot types, names, twice, objects;
  add_tensor(types, "c", tensor_of(DType::Complex128, {1}, std::string(16, 'c')));
  expect_refused(types, "c (complex128)");
  add_tensor(names, "__metadata__", tensor_of(DType::UInt8, {1}, "a"));
  expect_refused(names, "__metadata__");
  add_tensor(twice, "x.y", tensor_of(DType::UInt8, {1}, "a"));
  add_tensor(twice, "x.y", tensor_of(DType::UInt8, {1}, "b"));
  expect_refused(twice, "x.y");
  add_tensor(objects, "a", tensor_of(DType::UInt8, {1}, "a"));
  objects.objects.push_back({.name = "epoch", .value = {std::int64_t{12}}});
  expect_refused(objects, "epoch (int)");
}

TEST(SafetensorsWriter, LeavesObjectsOutWhenAskedAndSaysSo) {
  Snapshot snapshot;
  add_tensor(snapshot, "a", tensor_of(DType::UInt8, {1}, "a"));
  snapshot.objects.push_back({.name = "_metadata", .value = {Mapping{"collections.OrderedDict", {}}}});
  EXPECT_TRUE(lay_out_safetensors({snapshot, "o", Objects::Keep}).notes.empty());
  snapshot.objects.push_back({.name = "epoch", .value = {std::int64_t{12}}});
  const Layout layout = lay_out_safetensors({snapshot, "o", Objects::Drop});
  ASSERT_EQ(layout.notes.size(), 1U);
  EXPECT_NE(layout.notes[0].find("epoch (int)"), std::string::npos);
}

}  // namespace
}  // namespace tenon::formats
