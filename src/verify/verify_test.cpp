// verify over files that save() wrote and that were then damaged on purpose.
#include <tenon/verify.hpp>

#include <cstring>
#include <filesystem>
#include <limits>
#include <vector>

#include <tenon/error.hpp>
#include <tenon/save.hpp>

#include "support/folder.hpp"

namespace tenon {
namespace {

Tensor tensor_of(const std::vector<float>& values) {
  std::vector<std::byte> bytes(values.size() * sizeof(float));
  std::memcpy(bytes.data(), values.data(), bytes.size());
  return make_tensor(DType::Float32, {static_cast<std::int64_t>(values.size())}, std::move(bytes));
}

class Verify : public test::TemporaryFolder {
 protected:
  /// Two tensors; returns the path.
  std::string saved(const std::string& name, Format format, float second = 2) {
    Snapshot snapshot;
    add_tensor(snapshot, "a.weight", tensor_of(std::vector<float>(100, 1.5F)));
    add_tensor(snapshot, "b.weight", tensor_of(std::vector<float>{1, second, 3}));
    const std::string file = path(name);
    save(snapshot, file, {.format = format});
    return file;
  }
};

TEST_F(Verify, WholeFilesAreOk) {
  for (const Format format : {Format::PytorchZip, Format::Safetensors}) {
    const VerifiedFile result = verify(saved(std::string(format_name(format)), format));
    EXPECT_TRUE(result.ok) << result.problems.front().where << ": " << result.problems.front().what;
    EXPECT_GT(result.checked_bytes, 400U);
  }
}

TEST_F(Verify, TellsHowFarItIsAndEndsWhenTold) {
  struct Enough {};
  for (const Format format : {Format::PytorchZip, Format::Safetensors}) {
    const std::string file = saved(std::string(format_name(format)), format);
    std::uint64_t last = 0, all = 0;
    verify(file, {.progress = [&](std::uint64_t done, std::uint64_t of) {
             EXPECT_GE(done, last);
             last = done;
             all = of;
           }});
    EXPECT_EQ(last, all);
    EXPECT_GE(all, 412U);
    EXPECT_THROW(verify(file, {.progress = [](auto, auto) { throw Enough(); }}), Enough);
    EXPECT_THROW(diff(open(file), open(file), DiffNames::Equal, [](auto, auto) { throw Enough(); }), Enough);
  }
}

TEST_F(Verify, SaysWhatAFormatWithoutChecksumsCannotShow) {
  Snapshot snapshot;
  add_tensor(snapshot, "a.weight", tensor_of({1, 2}));
  save(snapshot, path("a.safetensors"), {.digests = Digests::None});
  const VerifiedFile result = verify(path("a.safetensors"));
  ASSERT_FALSE(result.notes.empty());
  EXPECT_NE(result.notes.front().find("no checksums"), std::string::npos);
}

TEST_F(Verify, EveryFlippedByteOfATensorIsFoundAndItsEntryNamed) {
  const std::string file = saved("a.pt", Format::PytorchZip);
  std::string bytes = test::get(file);
  const std::string run = {'\0', '\0', '\xc0', '\x3f'};  // 1.5 as float32
  const std::size_t start = bytes.find(run + run + run);
  ASSERT_NE(start, std::string::npos);
  for (std::size_t at = start; at < start + 400; at += 37) {
    bytes[at] = static_cast<char>(bytes[at] ^ 1);
    test::put(file, bytes);
    bytes[at] = static_cast<char>(bytes[at] ^ 1);
    const VerifiedFile result = verify(file);
    ASSERT_EQ(result.problems.size(), 1U) << "byte " << at;
    EXPECT_NE(result.problems[0].where.find("data/0"), std::string::npos) << result.problems[0].where;
    EXPECT_NE(result.problems[0].what.find("digest"), std::string::npos) << result.problems[0].what;
  }
}

TEST_F(Verify, EveryCutIsAProblemAndNeverACrash) {
  for (const Format format : {Format::PytorchZip, Format::Safetensors}) {
    const std::string file = saved(std::string(format_name(format)), format);
    for (std::uintmax_t length = std::filesystem::file_size(file); length-- > 0;) {
      std::filesystem::resize_file(file, length);
      try {
        EXPECT_FALSE(verify(file).ok) << format_name(format) << " cut at " << length;
      } catch (const Error& error) {  // too little is left to tell the kind
        EXPECT_EQ(error.code, Code::Unsupported) << error.what();
      }
    }
  }
}

TEST_F(Verify, FiniteIsCheckedWhenAskedFor) {
  const std::string file = saved("a.pt", Format::PytorchZip, std::numeric_limits<float>::infinity());
  EXPECT_TRUE(verify(file).ok);
  const VerifiedFile result = verify(file, {.finite = Finite::Require, .limits = {}});
  ASSERT_EQ(result.problems.size(), 1U);
  EXPECT_EQ(result.problems[0].where, "b.weight");
  EXPECT_EQ(result.problems[0].what, "0 NaNs and 1 infinity among 3 elements");
}

TEST_F(Verify, ThrowsWhereNothingCanBeSaid) {
  try {
    verify(path("nowhere.pt"));
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.code, Code::NotFound);
  }
}

}  // namespace
}  // namespace tenon
