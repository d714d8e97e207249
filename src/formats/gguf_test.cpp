#include "formats/gguf.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "base/cursor.hpp"
#include "support/folder.hpp"

namespace tenon::formats {
namespace {

/// Writes the fields of a file of one version and byte order.
class Builder {
 public:
  explicit Builder(std::uint32_t version = 3, bool big_endian = false) : version_(version), big_endian_(big_endian) {}

  std::string number(std::uint64_t value, std::size_t width) const {
    std::string bytes;
    for (std::size_t i = 0; i < width; ++i) bytes += static_cast<char>(static_cast<unsigned char>(value >> (8 * i)));
    if (big_endian_) std::reverse(bytes.begin(), bytes.end());
    return bytes;
  }
  std::string count(std::uint64_t value) const { return number(value, version_ == 1 ? 4 : 8); }
  std::string text(std::string_view value) const { return count(value.size()) + std::string(value); }
  std::string pair(std::string_view key, std::uint32_t type, const std::string& value) const {
    return text(key) + number(type, 4) + value;
  }
  std::string array(std::uint32_t type, std::uint64_t length, const std::string& elements) const {
    return number(type, 4) + count(length) + elements;
  }
  std::string info(std::string_view name, const std::vector<std::uint64_t>& dims, std::uint32_t type,
                   std::uint64_t offset) const {
    std::string bytes = text(name) + number(dims.size(), 4);
    for (const std::uint64_t extent : dims) bytes += count(extent);
    return bytes + number(type, 4) + number(offset, 8);
  }
  std::string file(const std::vector<std::string>& pairs, const std::vector<std::string>& infos,
                   const std::string& data, std::size_t alignment = 32) const {
    std::string bytes = "GGUF" + number(version_, 4) + count(infos.size()) + count(pairs.size());
    for (const std::string& pair : pairs) bytes += pair;
    for (const std::string& info : infos) bytes += info;
    if (!data.empty()) bytes.resize((bytes.size() + alignment - 1) / alignment * alignment);
    return bytes + data;
  }

 private:
  std::uint32_t version_;
  bool big_endian_;
};

const Builder kBuild;
const std::string kData(64, 'x');

struct GgufFiles : test::TemporaryFolder {
  std::shared_ptr<CheckpointCore> open(std::string_view bytes, Salvage salvage = Salvage::No) const {
    test::put(path("f"), bytes);
    OpenOptions options;
    options.salvage = salvage;
    return open_gguf({path("f"), io::MappedFile::open(path("f"), ReadMode::Map), options});
  }
};

std::string one(const std::string& info, const std::string& data = kData) { return kBuild.file({}, {info}, data); }
std::string only(const std::string& pair) { return kBuild.file({pair}, {}, ""); }

// ---- what is refused

struct Bad {
  const char* name;
  std::string file;
  std::string what;  ///< a part of the message
};
void PrintTo(const Bad& bad, std::ostream* out) { *out << bad.name; }

class BadGguf : public GgufFiles, public testing::WithParamInterface<Bad> {};

TEST_P(BadGguf, IsRefusedWithItsPlace) {
  try {
    open(GetParam().file);
    FAIL() << "it was opened";
  } catch (const Error& error) {
    EXPECT_NE(error.code, Code::NotFound);
    EXPECT_EQ(error.where.file, path("f"));
    ASSERT_TRUE(error.where.byte) << error.what();
    EXPECT_LE(*error.where.byte, GetParam().file.size()) << error.what();
    EXPECT_NE(std::string(error.what()).find(GetParam().what), std::string::npos) << error.what();
  }
}

std::string nested(int levels) {
  std::string value;
  for (int i = 0; i < levels; ++i) value += kBuild.number(9, 4) + kBuild.count(1);
  return only(kBuild.pair("a", 9, value + kBuild.array(0, 0, "")));
}
const std::string kInfo = kBuild.info("w", {4}, 0, 0);

INSTANTIATE_TEST_SUITE_P(
    Table, BadGguf,
    testing::Values(
        Bad{"magic_alone", "GGUF", "the version"}, Bad{"version_4", Builder(4).file({}, {}, ""), "another version"},
        Bad{"version_0", Builder(0).file({}, {}, ""), "another version"},
        Bad{"too_many_tensors", "GGUF" + kBuild.number(3, 4) + kBuild.count(1ULL << 60) + kBuild.count(0), "tensors"},
        Bad{"too_many_pairs", "GGUF" + kBuild.number(3, 4) + kBuild.count(0) + kBuild.count(1ULL << 60), "metadata"},
        Bad{"more_tensors_than_bytes", "GGUF" + kBuild.number(3, 4) + kBuild.count(9) + kBuild.count(0), "too short"},
        Bad{"key_beyond_the_end", only(kBuild.count(1ULL << 62) + "xxxxxxxxxxxxx"), "a key"},
        Bad{"value_type_13", only(kBuild.pair("a", 13, "xxxxxxxx")), "type of the value"},
        Bad{"bool_2", only(kBuild.pair("a", 7, "\x02")), "truth value"},
        Bad{"key_twice", kBuild.file({kBuild.pair("a", 0, "x"), kBuild.pair("a", 0, "y")}, {}, ""), "stands twice"},
        Bad{"array_beyond_the_end", only(kBuild.pair("a", 9, kBuild.array(10, 1ULL << 61, ""))), "longer than"},
        Bad{"strings_beyond_the_end", only(kBuild.pair("a", 9, kBuild.array(8, 9, kBuild.text("b")))), "longer than"},
        Bad{"deep", nested(200), "nested"},
        Bad{"alignment_0", only(kBuild.pair("general.alignment", 4, kBuild.number(0, 4))), "power of two"},
        Bad{"alignment_4", only(kBuild.pair("general.alignment", 4, kBuild.number(4, 4))), "power of two"},
        Bad{"alignment_24", only(kBuild.pair("general.alignment", 4, kBuild.number(24, 4))), "power of two"},
        Bad{"alignment_u64", only(kBuild.pair("general.alignment", 10, kBuild.number(32, 8))), "another type"},
        Bad{"many_dimensions", one(kBuild.text("w") + kBuild.number(1U << 31, 4) + std::string(12, '\0')),
            "dimensions"},
        Bad{"five_dimensions", one(kBuild.info("w", {1, 1, 1, 1, 1}, 0, 0)), "dimensions"},
        Bad{"extent_2_63", one(kBuild.info("w", {1ULL << 63}, 0, 0)), "too great"},
        Bad{"elements_overflow", one(kBuild.info("w", {1ULL << 32, 1ULL << 32}, 0, 0)), "64 bits"},
        Bad{"bytes_overflow", one(kBuild.info("w", {1ULL << 62}, 0, 0)), "64 bits"},
        Bad{"no_name", one(kBuild.info("", {}, 0, 0)), "no name"},
        Bad{"removed_type", one(kBuild.info("w", {32}, 4, 0)), "Q4_2"},
        Bad{"part_of_a_block", one(kBuild.info("w", {33}, 2, 0)), "blocks"},
        Bad{"rows_of_half_blocks", one(kBuild.info("w", {16, 2}, 2, 0)), "blocks"},
        Bad{"not_aligned", one(kBuild.info("w", {4}, 0, 8)), "not aligned"},
        Bad{"offset_overflow", one(kBuild.info("w", {4}, 0, ~std::uint64_t{31})), "ends before"},
        Bad{"outside", one(kBuild.info("w", {17}, 0, 0)), "ends before"},
        Bad{"name_twice", kBuild.file({}, {kInfo, kBuild.info("w", {4}, 0, 32)}, kData), "stands twice"},
        Bad{"same_offset", kBuild.file({}, {kInfo, kBuild.info("v", {4}, 0, 0)}, kData), "overlaps"},
        Bad{"overlap", kBuild.file({}, {kBuild.info("w", {12}, 0, 0), kBuild.info("v", {4}, 0, 32)}, kData),
            "overlaps"},
        Bad{"no_data", kBuild.file({}, {kInfo}, ""), "ends before"}),
    [](const auto& row) { return std::string(row.param.name); });

// ---- what is read

struct Form {
  const char* name;
  std::uint32_t version;
  bool big_endian;
};
void PrintTo(const Form& form, std::ostream* out) { *out << form.name; }
class EveryForm : public GgufFiles, public testing::WithParamInterface<Form> {};

TEST_P(EveryForm, ReadsValuesShapesAndBytes) {
  const Builder build(GetParam().version, GetParam().big_endian);
  const std::string halves = build.number(0x3c00, 2) + build.number(0xc000, 2);
  const auto core = open(build.file(
      {build.pair("text", 8, build.text("\xc3\xbc")), build.pair("u8", 0, "\x07"), build.pair("i8", 1, "\xff"),
       build.pair("u16", 2, build.number(65535, 2)), build.pair("i16", 3, build.number(65535, 2)),
       build.pair("i32", 5, build.number(0xfffffffe, 4)), build.pair("f32", 6, build.number(0x3fc00000, 4)),
       build.pair("bool", 7, std::string(1, '\x01')), build.pair("u64", 10, build.number(~0ULL, 8)),
       build.pair("i64", 11, build.number(~0ULL - 4, 8)), build.pair("f64", 12, build.number(0xbff8000000000000, 8)),
       build.pair(
           "list", 9,
           build.array(8, 5, build.text("a") + build.text("b") + build.text("c") + build.text("d") + build.text("e"))),
       build.pair("nest", 9, build.array(9, 2, build.array(4, 1, build.number(7, 4)) + build.array(4, 0, "")))},
      {build.info("half", {2, 1}, 1, 0), build.info("blocks", {32, 2}, 8, 32)},
      halves + std::string(28, '\0') + std::string(68, 'q')));
  EXPECT_EQ(core->format, Format::Gguf);
  const std::vector<std::pair<std::string, std::string>> expected = {
      {"text", "\xc3\xbc"}, {"u8", "7"},      {"i8", "-1"},
      {"u16", "65535"},     {"i16", "-1"},    {"i32", "-2"},
      {"f32", "1.5"},       {"bool", "true"}, {"u64", "18446744073709551615"},
      {"i64", "-5"},        {"f64", "-1.5"},  {"list", R"(["a", "b", "c", "d", ... (5 string in all)])"},
      {"nest", "[[7], []]"}};
  EXPECT_EQ(core->metadata, expected);
  ASSERT_EQ(core->tensors.size(), 2U);
  EXPECT_EQ(core->tensors[0].shape, (Shape{1, 2}));
  const Checkpoint checkpoint(core);
  const Tensor half = checkpoint.tensor(std::size_t{0});
  std::string bytes(4, '\0');
  copy_dense(half, std::as_writable_bytes(std::span(bytes)));
  EXPECT_EQ(bytes, Builder().number(0x3c00, 2) + Builder().number(0xc000, 2)) << "little-endian, whatever the file is";
  EXPECT_EQ(core->tensors[1].dtype, DType::Q8_0);
  EXPECT_EQ(core->tensors[1].shape, (Shape{2, 32}));
  EXPECT_EQ(base::as_text(core->bytes_of(core->tensors[1].storage).view), std::string(68, 'q'));
  EXPECT_TRUE(core->warnings.empty());
}

INSTANTIATE_TEST_SUITE_P(Table, EveryForm,
                         testing::Values(Form{"v1", 1, false}, Form{"v2", 2, false}, Form{"v3", 3, false},
                                         Form{"v3_big_endian", 3, true}),
                         [](const auto& row) { return std::string(row.param.name); });

TEST_F(GgufFiles, AVocabularyEndsBeforeItsPadding) {
  const auto core = open(only(kBuild.pair("a", 0, "x")));
  EXPECT_TRUE(core->tensors.empty());
  EXPECT_TRUE(core->warnings.empty());
}

TEST_F(GgufFiles, AnUnknownTypeReachesToTheNextTensor) {
  const auto core = open(kBuild.file({}, {kBuild.info("new", {7}, 99, 0), kBuild.info("w", {4}, 0, 32)}, kData));
  EXPECT_EQ(core->tensors[0].dtype, DType::Unknown);
  EXPECT_EQ(core->storages[core->tensors[0].storage].nbytes, 32U);
  ASSERT_EQ(core->warnings.size(), 1U);
  EXPECT_NE(core->warnings[0].find("ggml type 99"), std::string::npos);
  EXPECT_THROW(Checkpoint(core).tensor("new"), Error);
}

TEST_F(GgufFiles, ASplitFileSaysThatItIsAPart) {
  const auto core = open(
      kBuild.file({kBuild.pair("split.no", 2, kBuild.number(0, 2)), kBuild.pair("split.count", 2, kBuild.number(3, 2)),
                   kBuild.pair("split.tensors.count", 5, kBuild.number(9, 4))},
                  {kInfo}, kData.substr(0, 16)));
  ASSERT_EQ(core->warnings.size(), 1U);
  EXPECT_NE(core->warnings[0].find("one file of 3"), std::string::npos);
  EXPECT_NE(core->warnings[0].find("1 tensors of 9"), std::string::npos);
}

TEST_F(GgufFiles, HolesAndTrailingBytesAreTold) {
  const auto core = open(kBuild.file({}, {kInfo, kBuild.info("v", {4}, 0, 64)}, kData + kData + kData));
  ASSERT_EQ(core->warnings.size(), 2U);
  EXPECT_NE(core->warnings[0].find("follow the last tensor"), std::string::npos);
  EXPECT_NE(core->warnings[1].find("1 hole"), std::string::npos);
}

// ---- damage: an Error or an answer, never more

const std::string kSmall =
    kBuild.file({kBuild.pair("k", 8, kBuild.text("v")), kBuild.pair("l", 9, kBuild.array(0, 3, "abc")),
                 kBuild.pair("general.alignment", 4, kBuild.number(32, 4))},
                {kBuild.info("q", {32}, 2, 0), kBuild.info("w", {2, 2}, 0, 32)}, kData.substr(0, 48));

bool survives(const GgufFiles& files, const std::string& bytes, Salvage salvage = Salvage::No) {
  try {
    const auto core = files.open(bytes, salvage);
    for (const TensorInfo& tensor : core->tensors) (void)core->bytes_of(tensor.storage);
    return true;
  } catch (const Error&) {
    return false;
  }
}

TEST_F(GgufFiles, EveryTruncationIsAnError) {
  ASSERT_TRUE(survives(*this, kSmall));
  for (std::size_t size = 0; size < kSmall.size(); ++size)
    EXPECT_FALSE(survives(*this, kSmall.substr(0, size))) << size;
}

TEST_F(GgufFiles, SalvageListsWhatIsWhole) {
  const auto core = open(kSmall.substr(0, kSmall.size() - 1), Salvage::Yes);
  ASSERT_EQ(core->tensors.size(), 1U);
  EXPECT_EQ(core->tensors[0].name, "q");
  EXPECT_EQ(core->warnings.size(), 1U);
}

TEST_F(GgufFiles, EveryChangedByteIsAnErrorOrAnAnswer) {
  std::size_t answers = 0;
  for (std::size_t at = 4; at < kSmall.size(); ++at)
    for (const int value : {0x00, 0xff, 0x80, 0x09, 0x22, kSmall[at] ^ 1}) {
      std::string damaged = kSmall;
      damaged[at] = static_cast<char>(value);
      answers += survives(*this, damaged) ? 1 : 0;
    }
  EXPECT_GE(answers, 48U * 6U) << "data bytes may be anything";
  EXPECT_LT(answers, kSmall.size() * 6);
}

}  // namespace
}  // namespace tenon::formats
