#include "formats/gguf_split.hpp"

#include <gtest/gtest.h>

#include <filesystem>
#include <string>
#include <vector>

#include "base/cursor.hpp"
#include "support/folder.hpp"

namespace tenon::formats {
namespace {

std::string little(std::uint64_t number, std::size_t width) {
  std::string bytes;
  for (std::size_t i = 0; i < width; ++i) bytes += static_cast<char>(static_cast<unsigned char>(number >> (8 * i)));
  return bytes;
}
std::string text(std::string_view value) { return little(value.size(), 8) + std::string(value); }

/// What one part says of itself, and the float32 scalars that it holds.
struct Part {
  std::uint64_t number, count, total;
  std::vector<std::string> tensors;
};

std::string file_of(const Part& part) {
  std::string bytes = "GGUF" + little(3, 4) + little(part.tensors.size(), 8) + little(3, 8);
  bytes += text("split.no") + little(2, 4) + little(part.number, 2);
  bytes += text("split.count") + little(2, 4) + little(part.count, 2);
  bytes += text("split.tensors.count") + little(5, 4) + little(part.total, 4);
  for (std::size_t i = 0; i < part.tensors.size(); ++i)
    bytes += text(part.tensors[i]) + little(1, 4) + little(1, 8) + little(0, 4) + little(32 * i, 8);
  bytes.resize((bytes.size() + 31) / 32 * 32);
  for (const std::string& name : part.tensors) bytes += std::string(32, name.back());
  return bytes;
}

// ---- names

struct NameRow {
  std::string name;
  bool is_part;
  std::uint64_t number, count;
};

class PartNames : public testing::TestWithParam<NameRow> {};

TEST_P(PartNames, TellNumberAndCount) {
  const auto found = parse_gguf_part(GetParam().name);
  ASSERT_EQ(found.has_value(), GetParam().is_part);
  if (!found) return;
  EXPECT_EQ(found->number, GetParam().number);
  EXPECT_EQ(found->count, GetParam().count);
  EXPECT_EQ(found->of(found->number), GetParam().name);
}

INSTANTIATE_TEST_SUITE_P(
    Table, PartNames,
    testing::Values(NameRow{"m-00001-of-00003.gguf", true, 1, 3}, NameRow{"a-of-b-00002-of-00010.gguf", true, 2, 10},
                    NameRow{"m-00004-of-00003.gguf", false, 0, 0}, NameRow{"m-00000-of-00003.gguf", false, 0, 0},
                    NameRow{"m-1-of-3.gguf", false, 0, 0}, NameRow{"m-00001-of-00003.bin", false, 0, 0},
                    NameRow{"m.gguf", false, 0, 0}, NameRow{"-of-00003.gguf", false, 0, 0},
                    NameRow{"m-00001-of-99999999999999999999.gguf", false, 0, 0}, NameRow{"", false, 0, 0}));

// ---- files

struct SplitFiles : test::TemporaryFolder {
  std::string name(std::uint64_t number) const { return GgufPartName{"m", number, 3}.of(number); }
  void put(std::uint64_t number, const Part& part) const { test::put(path(name(number)), file_of(part)); }
  void put_all() const {
    put(1, {0, 3, 4, {"a", "b"}});
    put(2, {1, 3, 4, {"c"}});
    put(3, {2, 3, 4, {"d"}});
  }
  Checkpoint open(const std::string& where, Salvage salvage = Salvage::No) const {
    OpenOptions options;
    options.salvage = salvage;
    return tenon::open(where, options);
  }
  Error refusal() const {
    try {
      open(path(name(1)));
    } catch (const Error& error) {
      return error;
    }
    ADD_FAILURE() << "it was opened";
    return Error(Code::Invalid, {}, "nothing was thrown");
  }
};

TEST_F(SplitFiles, TheFirstPartOpensAll) {
  put_all();
  for (const std::string& where : {path(name(1)), folder().string()}) {
    const Checkpoint whole = open(where);
    EXPECT_EQ(whole.format(), Format::Gguf);
    EXPECT_EQ(whole.file(), where);
    ASSERT_EQ(whole.tensors().size(), 4U);
    EXPECT_EQ(whole.containers().front().tensor_count, 4U);
    EXPECT_TRUE(whole.warnings().empty());
    for (const char* tensor : {"a", "b", "c", "d"})
      EXPECT_EQ(base::as_text(whole.tensor(tensor).storage.first(4)), std::string(4, *tensor));
  }
}

TEST_F(SplitFiles, TwoModelsInAFolderAreNotChosenFrom) {
  put_all();
  test::put(path("n.gguf"), file_of({0, 0, 1, {"a"}}));
  try {
    open(folder().string());
    FAIL() << "one was chosen";
  } catch (const Error& error) {
    EXPECT_EQ(error.found, "2 files: " + name(1) + ", n.gguf");
  }
}

TEST_F(SplitFiles, AnotherPartStandsForItself) {
  put_all();
  const Checkpoint part = open(path(name(2)));
  ASSERT_EQ(part.tensors().size(), 1U);
  ASSERT_EQ(part.warnings().size(), 1U);
  EXPECT_NE(part.warnings()[0].find("one file of 3"), std::string::npos);
}

TEST_F(SplitFiles, AFirstPartUnderAnotherNameSaysSo) {
  test::put(path("renamed.gguf"), file_of({0, 3, 4, {"a", "b"}}));
  const Checkpoint part = open(path("renamed.gguf"));
  EXPECT_EQ(part.tensors().size(), 2U);
  ASSERT_EQ(part.warnings().size(), 1U);
  EXPECT_NE(part.warnings()[0].find("its name does not tell"), std::string::npos);
}

TEST_F(SplitFiles, AMissingPartIsNamed) {
  put_all();
  std::filesystem::remove(path(name(2)));
  const Error error = refusal();
  EXPECT_EQ(error.code, Code::Corrupt);
  EXPECT_EQ(error.where.file, path(name(1)));
  EXPECT_EQ(error.where.key, "split.count");
  EXPECT_NE(error.expected.find(name(2)), std::string::npos);
  const Checkpoint rest = open(path(name(1)), Salvage::Yes);
  EXPECT_EQ(rest.tensors().size(), 3U);
  EXPECT_EQ(rest.warnings().size(), 2U);  // the part, and the number of tensors
}

TEST_F(SplitFiles, APartIsNotReachedThroughALink) {
  put_all();
  std::filesystem::rename(path(name(3)), path("elsewhere"));
  std::filesystem::create_symlink(path("elsewhere"), path(name(3)));
  EXPECT_EQ(refusal().code, Code::Read);
}

struct WrongPart {
  std::string name;
  Part second;
  std::string says, key;
};

class Wrong : public SplitFiles, public testing::WithParamInterface<WrongPart> {};

TEST_P(Wrong, IsRefusedAtItsPlace) {
  put_all();
  put(2, GetParam().second);
  const Error error = refusal();
  EXPECT_EQ(error.code, Code::Corrupt);
  EXPECT_NE(std::string(error.what()).find(GetParam().says), std::string::npos) << error.what();
  EXPECT_EQ(error.where.key, GetParam().key);
}

INSTANTIATE_TEST_SUITE_P(
    Table, Wrong,
    testing::Values(WrongPart{"OtherNumber", {2, 3, 4, {"c"}}, "does not belong", "split.no"},
                    WrongPart{"OtherCount", {1, 4, 4, {"c"}}, "does not belong", "split.count"},
                    WrongPart{"NameAgain", {1, 3, 4, {"a"}}, "two parts hold", "a"},
                    WrongPart{"OneMore", {1, 3, 4, {"c", "e"}}, "another number of tensors", "split.tensors.count"},
                    WrongPart{"None", {1, 3, 4, {}}, "another number of tensors", "split.tensors.count"}),
    [](const auto& row) { return row.param.name; });

}  // namespace
}  // namespace tenon::formats
