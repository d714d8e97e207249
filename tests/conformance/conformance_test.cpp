// One battery for every reader: the committed files give their expected listings, and damage gives an error or an
// answer, never more.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstddef>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <random>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include <tenon/checkpoint.hpp>
#include <tenon/verify.hpp>

#include "support/folder.hpp"

namespace tenon {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

const fs::path kData = fs::path(TENON_SOURCE_DIR) / "tests/conformance/data";

std::string bytes_of(const fs::path& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

json expectations() { return json::parse(bytes_of(kData / "expected.json")); }

std::vector<std::string> files(bool refused) {
  std::vector<std::string> names;
  const json expected = expectations();
  for (const auto& [name, entry] : expected.items())
    if (entry.contains("refuse") == refused) names.push_back(name);
  return names;
}

std::string test_name(const testing::TestParamInfo<std::string>& info) {
  std::string name = info.param;
  for (char& c : name)
    if (std::isalnum(static_cast<unsigned char>(c)) == 0) c = '_';
  return name;
}

/// Reads everything that can be read. Returns the sum of the values' bytes, so that nothing is optimised away.
std::uint64_t read_all(const std::string& path) {
  const Checkpoint checkpoint = open(path, {.mode = ReadMode::Copy});
  std::uint64_t total = 0;
  for (std::size_t i = 0; i < checkpoint.tensors().size(); ++i) {
    if (checkpoint.tensors()[i].storage == kNoStorage) continue;
    for_each_block(checkpoint.tensor(i), [&](std::span<const std::byte> block) { total += block.size(); });
  }
  return total;
}

/// Name, dtype, shape and digest as one line.
std::string row_of(const Checkpoint& checkpoint, std::size_t index) {
  const TensorInfo& tensor = checkpoint.tensors()[index];
  const std::string digest = tensor.storage == kNoStorage ? "none" : sha256(checkpoint.tensor(index));
  return tensor.name + " " + std::string(dtype_name(tensor.dtype)) + " " + json(tensor.shape).dump() + " " + digest;
}
std::string row_of(const json& expected) {
  const std::string digest = expected["digest"].is_null() ? "none" : expected["digest"].get<std::string>();
  return expected["name"].get<std::string>() + " " + expected["dtype"].get<std::string>() + " " +
         expected["shape"].dump() + " " + digest;
}

class Readable : public testing::TestWithParam<std::string> {};
TEST_P(Readable, GivesItsExpectedListing) {
  const json expected = expectations().at(GetParam());
  const Checkpoint checkpoint = open((kData / GetParam()).string());
  EXPECT_EQ(format_name(checkpoint.format()), expected["format"].get<std::string>());
  ASSERT_EQ(checkpoint.tensors().size(), expected["tensors"].size());
  std::vector<std::string> found, wanted;
  for (std::size_t i = 0; i < checkpoint.tensors().size(); ++i) found.push_back(row_of(checkpoint, i));
  for (const json& want : expected["tensors"]) wanted.push_back(row_of(want));
  std::sort(found.begin(), found.end());  // a name may stand twice: the keys 0 and "0" are different
  std::sort(wanted.begin(), wanted.end());
  EXPECT_EQ(found, wanted);
}
INSTANTIATE_TEST_SUITE_P(Files, Readable, testing::ValuesIn(files(false)), test_name);

TEST_P(Readable, GivesTheSameBytesReadIntoMemoryOfTheCallers) {
  for (const ReadMode mode : {ReadMode::Map, ReadMode::Copy}) {
    const std::string path = (kData / GetParam()).string();
    const Checkpoint viewed = open(path), checkpoint = open(path, {.mode = mode});
    for (std::size_t i = 0; i < viewed.tensors().size(); ++i) {
      const TensorInfo& info = viewed.tensors()[i];
      if (info.storage == kNoStorage || info.dtype == DType::Unknown || info.dtype == DType::String) continue;
      std::vector<std::byte> expected(byte_size(info.shape, info.dtype)), found(expected.size());
      copy_dense(viewed.tensor(i), expected);
      checkpoint.read(i, found);
      EXPECT_EQ(found == expected, true) << info.name;
    }
  }
}

TEST_P(Readable, IsWholeForVerify) {
  const VerifiedFile verified = verify((kData / GetParam()).string());
  EXPECT_TRUE(verified.ok) << (verified.problems.empty() ? "" : verified.problems.front().what);
}

class Refused : public testing::TestWithParam<std::string> {};
TEST_P(Refused, SaysWhereAndWhat) {
  try {
    read_all((kData / GetParam()).string());
    FAIL() << "the file was read";
  } catch (const Error& error) {
    EXPECT_TRUE(error.code == Code::Corrupt || error.code == Code::Limit || error.code == Code::Unsupported);
    EXPECT_FALSE(error.where.file.empty());
    EXPECT_FALSE(error.what_happened.empty());
    EXPECT_TRUE(error.where.byte || !error.where.member.empty() || !error.where.key.empty()) << error.what();
  }
}
INSTANTIATE_TEST_SUITE_P(Files, Refused, testing::ValuesIn(files(true)), test_name);

/// Files small enough to be damaged at every byte in a second or two.
std::vector<std::string> small_files() {
  std::vector<std::string> names;
  for (const std::string& name : files(false))
    if (fs::file_size(kData / name) < 1300) names.push_back(name);
  return names;
}

class Damaged : public test::TemporaryFolder, public testing::WithParamInterface<std::string> {
 protected:
  /// An Error is an answer, and so is a listing; any other exception fails the test.
  bool is_refused(const std::string& bytes) {
    test::put(path("damaged"), bytes);
    try {
      read_all(path("damaged"));
      return false;
    } catch (const Error&) {
      return true;
    }
  }
};

TEST_P(Damaged, ByACutAtEveryByteIsRefused) {
  const std::string good = bytes_of(kData / GetParam());
  for (std::size_t length = 0; length < good.size(); ++length)
    EXPECT_TRUE(is_refused(good.substr(0, length))) << "cut to " << length << " bytes";
}

TEST_P(Damaged, ByAChangedByteNeverMoreThanRefused) {
  std::string bytes = bytes_of(kData / GetParam());
  std::mt19937 random(7);
  for (std::size_t at = 0; at < bytes.size(); ++at)
    for (const int flip : {1, 1 + static_cast<int>(random() % 255)}) {
      const char before = bytes[at];
      bytes[at] = static_cast<char>(before ^ flip);
      EXPECT_NO_THROW(is_refused(bytes)) << "byte " << at << " xor " << flip;
      bytes[at] = before;
    }
}
INSTANTIATE_TEST_SUITE_P(Files, Damaged, testing::ValuesIn(small_files()), test_name);

using Detection = test::TemporaryFolder;
TEST_F(Detection, SaysWhatAFileIsInstead) {
  const std::pair<std::string, std::string> kRows[] = {
      {"tjgg....", "before GGUF"},
      {"\x89HDF\r\n\x1a\n....", "HDF5"},
      {std::string("\x1f\x8b\x08\0", 4), "gzip"},
      {"<?xml version='1.0'?><Error/>", "XML"},
      {"{\"error\": \"not found\"}", "JSON"},
      {std::string(4096, '\0'), "zeros"},
      {"%PDF-1.7", "PDF"},
  };
  for (const auto& [bytes, word] : kRows) {
    test::put(path("x.pt"), bytes);
    try {
      open(path("x.pt"));
      ADD_FAILURE() << word;
    } catch (const Error& error) {
      EXPECT_NE(error.what_happened.find(word), std::string::npos) << error.what();
    }
  }
}

}  // namespace
}  // namespace tenon
