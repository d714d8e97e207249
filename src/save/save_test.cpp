// What save() refuses, and what stands under the name afterwards when the disk does not hold the file.
#include <tenon/save.hpp>

#include <gtest/gtest.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstring>
#include <functional>
#include <string>

#include "base/cursor.hpp"
#include "support/folder.hpp"

namespace tenon {
namespace {

Tensor zeros(DType dtype, Shape shape) {
  const std::uint64_t nbytes = byte_size(shape, dtype);
  return make_tensor(dtype, std::move(shape), std::vector<std::byte>(nbytes));
}

Snapshot one_tensor(Shape shape = {2, 3}) {
  Snapshot snapshot;
  add_tensor(snapshot, "layer.weight", zeros(DType::Float32, std::move(shape)));
  return snapshot;
}

struct Caught {
  std::optional<Code> code;
  std::string line;
};
Caught caught(const std::function<void()>& act) {
  try {
    act();
  } catch (const Error& error) {
    return {error.code, error.what()};
  }
  return {};
}

using Save = test::TemporaryFolder;

TEST_F(Save, WritesAndReportsTheSize) {
  const SaveReport report = save(one_tensor(), path("m.safetensors"));
  EXPECT_EQ(report.file_bytes, std::filesystem::file_size(path("m.safetensors")));
  EXPECT_EQ(entries(), 1U);
}

TEST_F(Save, AFileOfTheNameStaysUnlessReplacingWasAskedFor) {
  test::put(path("m"), "old");
  EXPECT_EQ(caught([&] { save(one_tensor(), path("m")); }).code, Code::Exists);
  EXPECT_EQ(test::get(path("m")), "old");
  save(one_tensor(), path("m"), {.existing = Existing::Replace});
  EXPECT_NE(test::get(path("m")), "old");
  EXPECT_EQ(entries(), 1U);
}

TEST_F(Save, WhatIsWrittenDependsOnTheBaseNameAlone) {
  for (const Format format : {Format::Safetensors, Format::PytorchZip}) {
    std::filesystem::create_directories(path("other"));
    save(one_tensor(), path("m.pt"), {.format = format, .existing = Existing::Replace});
    save(one_tensor(), path("other/m.pt"), {.format = format, .existing = Existing::Replace});
    EXPECT_EQ(test::get(path("m.pt")), test::get(path("other/m.pt")));
  }
}

// ---- nonsense

struct Nonsense {
  const char* name;
  std::function<void(Snapshot&)> make;
  const char* says;
};
void PrintTo(const Nonsense& row, std::ostream* out) { *out << row.name; }

class SaveRefuses : public Save, public testing::WithParamInterface<Nonsense> {};

TEST_P(SaveRefuses, Nonsense) {
  for (const Format format : {Format::Safetensors, Format::PytorchZip}) {
    Snapshot snapshot;
    GetParam().make(snapshot);
    const Caught error = caught([&] { save(snapshot, path("m"), {.format = format}); });
    EXPECT_EQ(error.code, Code::Refused);
    EXPECT_NE(error.line.find(GetParam().says), std::string::npos) << error.line;
    EXPECT_EQ(entries(), 0U);
  }
}

INSTANTIATE_TEST_SUITE_P(
    Table, SaveRefuses,
    testing::Values(Nonsense{"nothing", [](Snapshot&) {}, "no tensor"},
                    Nonsense{"meta_tensor",
                             [](Snapshot& s) {
                               add_tensor(s, "a", zeros(DType::Float32, {2}));
                               add_tensor(s, "m", zeros(DType::Float32, {2}));
                               s.tensors.back().placeholder = true;
                             },
                             "found m"},
                    Nonsense{"sharded_parameter",
                             [](Snapshot& s) {
                               add_tensor(s, "a", zeros(DType::Float32, {2}));
                               add_tensor(s, "fc.weight", zeros(DType::Float32, {0}));
                             },
                             "fc.weight [0]"},
                    Nonsense{"all_empty", [](Snapshot& s) { add_tensor(s, "buffer", zeros(DType::Float32, {0})); },
                             "no tensor has an element"},
                    Nonsense{"one_name_twice",
                             [](Snapshot& s) {
                               add_tensor(s, "a", zeros(DType::Float32, {2}));
                               add_tensor(s, "a", zeros(DType::Float32, {3}));
                             },
                             "found a"},
                    Nonsense{"an_object_of_a_class",
                             [](Snapshot& s) {
                               add_tensor(s, "a", zeros(DType::Float32, {2}));
                               s.objects.push_back({.name = "thing", .value = {Record{"app.Thing", {}, {}}}});
                             },
                             "thing (app.Thing)"},
                    Nonsense{"quantised_tensor", [](Snapshot& s) { add_tensor(s, "q", zeros(DType::QInt8, {2})); },
                             "q (qint8)"}),
    [](const auto& row) { return std::string(row.param.name); });

TEST_F(Save, EmptyBuffersAndLayersOfNoFeaturesAreFine) {
  Snapshot snapshot = one_tensor();
  add_tensor(snapshot, "buffer", zeros(DType::Int64, {0}));
  add_tensor(snapshot, "head.weight", zeros(DType::Float32, {0, 4}));
  EXPECT_NO_THROW(save(snapshot, path("m")));
}

TEST_F(Save, ATensorThatCannotBeReadLeavesTheOldFile) {
  test::put(path("m"), "old");
  for (const Format format : {Format::Safetensors, Format::PytorchZip}) {
    Snapshot snapshot = one_tensor();
    add_tensor(snapshot, "broken", zeros(DType::Float32, {4}));
    snapshot.tensors.back().load = []() -> Tensor { throw Error(Code::Corrupt, {}, "the checksum is wrong"); };
    EXPECT_EQ(caught([&] { save(snapshot, path("m"), {.format = format, .existing = Existing::Replace}); }).code,
              Code::Corrupt);
    EXPECT_EQ(test::get(path("m")), "old");
    EXPECT_EQ(entries(), 1U);
  }
}

// ---- a disk that is too small

TEST_F(Save, ALineBreakInTheNameOfSeveralFilesIsRefused) {
  Snapshot snapshot = one_tensor();
  add_tensor(snapshot, "other", zeros(DType::Float32, {2, 3}));
  EXPECT_EQ(caught([&] { save(snapshot, path("a\nb"), {.max_shard_bytes = 24}); }).code, Code::Invalid);
  EXPECT_EQ(entries(), 0U);
}

/// Where the bytes are on the disk already and nothing moves any more.
TEST_F(Save, CanBeEndedUntilTheFileGetsItsName) {
  int calls = 0;
  save(one_tensor(), path("m"), {.progress = [&](auto, auto) { ++calls; }});
  test::put(path("m"), "old");
  for (int last = 1; last <= calls; ++last) {
    int count = 0;
    const SaveOptions options{.existing = Existing::Replace, .progress = [&](std::uint64_t, std::uint64_t) {
                                if (++count == last) throw Error(Code::Cancelled, {}, "enough");
                              }};
    EXPECT_EQ(caught([&] { save(one_tensor(), path("m"), options); }).code, Code::Cancelled) << last;
    EXPECT_EQ(test::get(path("m")), "old");
    EXPECT_EQ(entries(), 1U);
  }
  EXPECT_GE(calls, 3) << "written, synced, about to get its name";
}

TEST_F(Save, AFileSizeLimitLeavesTheOldFile) {
  test::put(path("m"), "old");
  const pid_t child = ::fork();
  ASSERT_GE(child, 0);
  if (child == 0) {  // the limit is the process's, so it is set in a child
    ::signal(SIGXFSZ, SIG_IGN);
    const rlimit limit{10'000, 10'000};
    ::setrlimit(RLIMIT_FSIZE, &limit);
    const Caught error = caught([&] { save(one_tensor({100, 100}), path("m"), {.existing = Existing::Replace}); });
    ::_exit(error.code == Code::Write ? 0 : 1);
  }
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0) << status;
  EXPECT_EQ(test::get(path("m")), "old");
  EXPECT_EQ(entries(), 1U);
}

class SmallDisk : public Save {
 protected:
  void SetUp() override {
    Save::SetUp();
    std::filesystem::create_directory(path("disk"));
    if (::mount("tmpfs", path("disk").c_str(), "tmpfs", 0, "size=64k") != 0)
      GTEST_SKIP() << "no tmpfs can be mounted here (" << std::strerror(errno)
                   << "): a full disk is NOT tested; run as root";
    mounted_ = true;
  }
  void TearDown() override {
    if (mounted_) ::umount(path("disk").c_str());
    Save::TearDown();
  }
  std::size_t files_on_disk() const {
    using Walk = std::filesystem::directory_iterator;
    return static_cast<std::size_t>(std::distance(Walk(path("disk")), Walk()));
  }

 private:
  bool mounted_ = false;
};

TEST_F(SmallDisk, AFullDiskIsNamedWithBytesNeededAndFreeAndTheOldFileStays) {
  const std::string out = path("disk/m");
  for (const Format format : {Format::Safetensors, Format::PytorchZip}) {
    test::put(out, "old");
    const Caught error = caught([&] {
      save(one_tensor({100, 1000}), out, {.format = format, .existing = Existing::Replace});
    });
    EXPECT_EQ(error.code, Code::Write);
    EXPECT_NE(error.line.find("no space left"), std::string::npos) << error.line;
    EXPECT_NE(error.line.find("room for 40"), std::string::npos) << error.line;
    EXPECT_NE(error.line.find("bytes free"), std::string::npos) << error.line;
    EXPECT_EQ(test::get(out), "old");
    EXPECT_EQ(files_on_disk(), 1U);
  }
}

TEST_F(SmallDisk, AllShardsTogetherAreComparedWithTheRoomBeforeTheFirst) {
  Snapshot snapshot;
  for (const char* name : {"a", "b", "c"}) add_tensor(snapshot, name, zeros(DType::Float32, {10, 1000}));
  const Caught error = caught([&] { save(snapshot, path("disk/m"), {.max_shard_bytes = 40'000}); });
  EXPECT_EQ(error.code, Code::Write);
  EXPECT_NE(error.line.find("room for 12"), std::string::npos) << error.line;
  EXPECT_NE(error.line.find("65,536 bytes free"), std::string::npos) << error.line;
  EXPECT_EQ(files_on_disk(), 0U);
}

TEST_F(SmallDisk, NoMoreFilesIsNotToldAsNoMoreBytes) {
  ASSERT_EQ(::mount("tmpfs", path("disk").c_str(), "tmpfs", MS_REMOUNT, "nr_inodes=2"), 0);
  test::put(path("disk/other"), "x");
  const Caught error = caught([&] { save(one_tensor(), path("disk/m")); });
  EXPECT_NE(error.line.find("out of inodes"), std::string::npos) << error.line;
}

TEST_F(SmallDisk, AFileSystemThatTellsNoSizeIsNotFull) {
  ::umount(path("disk").c_str());
  ASSERT_EQ(::mount("ramfs", path("disk").c_str(), "ramfs", 0, nullptr), 0);
  EXPECT_NO_THROW(save(one_tensor(), path("disk/m")));
}

TEST_F(SmallDisk, TheRoomIsReservedBeforeTheFirstByteSoThatNobodyElseTakesIt) {
  const std::string out = path("disk/m");
  test::put(out, "old");
  Snapshot snapshot = one_tensor({10, 1000});
  bool other_had_room = true;
  snapshot.tensors.front().load = [&, tensor = snapshot.tensors.front().load] {
    std::ofstream other(path("disk/other"), std::ios::binary);
    other << std::string(40'000, 'x') << std::flush;
    other_had_room = other.good();
    return tensor();
  };
  save(snapshot, out, {.existing = Existing::Replace});
  EXPECT_FALSE(other_had_room);
  EXPECT_GT(std::filesystem::file_size(out), 40'000U);
}

TEST(FormatFromSuffix, KnowsTheSuffixesOfTheTwoFormats) {
  EXPECT_EQ(format_from_suffix("a/b.safetensors"), Format::Safetensors);
  for (const char* name : {"m.pt", "m.pth", "m.bin", "m.ckpt", "m.pth.tar.pt"})
    EXPECT_EQ(format_from_suffix(name), Format::PytorchZip) << name;
  for (const char* name : {"m", "m.onnx", "pt", "safetensors"})
    EXPECT_EQ(format_from_suffix(name), std::nullopt) << name;
}

}  // namespace
}  // namespace tenon
