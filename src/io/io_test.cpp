#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <optional>
#include <string>

#include "base/cursor.hpp"
#include "faults/faulty_fs.hpp"
#include "io/atomic_file.hpp"
#include "io/mapped_file.hpp"

namespace tenon::io {
namespace {

namespace fs = std::filesystem;

class Folder : public testing::Test {
 protected:
  Folder() {
    std::string name = (fs::temp_directory_path() / "tenon-io-XXXXXX").string();
    folder_ = ::mkdtemp(name.data());
  }
  ~Folder() override { fs::remove_all(folder_); }

  std::string path(const std::string& name) const { return (folder_ / name).string(); }
  std::size_t entries() const { return static_cast<std::size_t>(std::distance(fs::directory_iterator(folder_), {})); }
  static void put(const std::string& where, const std::string& text) { std::ofstream(where, std::ios::binary) << text; }
  static std::string get(const std::string& where) { return read_text(where, Limits{}); }
  static void save(const std::string& where, const std::string& text, Existing existing) {
    AtomicFile file(where, existing, text.size());
    file.write(base::as_bytes(text));
    file.commit(Durability::Fsync);
  }

  fs::path folder_;
};

Code code_of(const std::function<void()>& act) {
  try {
    act();
  } catch (const Error& error) {
    return error.code;
  }
  return Code::Cancelled;  // none of the cases below expects it
}

using MappedFileTest = Folder;
using AtomicFileTest = Folder;

TEST_F(MappedFileTest, BothModesSeeTheSameBytes) {
  put(path("a"), std::string("x\0y", 3));
  for (const ReadMode mode : {ReadMode::Map, ReadMode::Copy})
    EXPECT_EQ(base::as_text(MappedFile::open(path("a"), mode)->bytes()), std::string_view("x\0y", 3));
}

TEST_F(MappedFileTest, AnEmptyFileHasNoBytes) {
  put(path("a"), "");
  EXPECT_EQ(MappedFile::open(path("a"), ReadMode::Map)->size(), 0U);
}

TEST_F(MappedFileTest, WhatIsNoFileIsRefused) {
  EXPECT_EQ(code_of([&] { MappedFile::open(path("none"), ReadMode::Map); }), Code::NotFound);
  EXPECT_EQ(code_of([&] { MappedFile::open(folder_.string(), ReadMode::Map); }), Code::Read);
  ASSERT_EQ(::mkfifo(path("pipe").c_str(), 0600), 0);
  EXPECT_EQ(code_of([&] { MappedFile::open(path("pipe"), ReadMode::Map); }), Code::Read);
}

TEST_F(MappedFileTest, BelowAFolderNoPartIsALink) {
  fs::create_directory(folder_ / "sub");
  put(path("sub/f"), "bytes");
  fs::create_symlink("f", folder_ / "sub" / "link");
  fs::create_directory_symlink("sub", folder_ / "linked");
  for (const char* good : {"sub/f", "./sub/f"})
    EXPECT_EQ(base::as_text(MappedFile::open_below(folder_.string(), good, ReadMode::Map)->bytes()), "bytes");
  for (const char* bad : {"sub/link", "linked/f", "sub", "sub/none", "none/f", "sub/f/f"})
    EXPECT_THROW(MappedFile::open_below(folder_.string(), bad, ReadMode::Map), Error) << bad;
}

TEST_F(MappedFileTest, AChangeWhileOpenIsNoticed) {
  put(path("a"), "old");
  const auto file = MappedFile::open(path("a"), ReadMode::Map);
  EXPECT_NO_THROW(file->require_unchanged());
  put(path("a"), "longer than before");
  EXPECT_EQ(code_of([&] { file->require_unchanged(); }), Code::Read);
}

TEST_F(MappedFileTest, AReplacedFileKeepsItsOldBytesForItsReaders) {
  put(path("a"), "old");
  const auto file = MappedFile::open(path("a"), ReadMode::Map);
  save(path("a"), "new", Existing::Replace);
  EXPECT_NO_THROW(file->require_unchanged());
  EXPECT_EQ(base::as_text(file->bytes()), "old");
  EXPECT_EQ(get(path("a")), "new");
}

TEST_F(AtomicFileTest, NothingIsThereBeforeCommitAndAllOfItAfter) {
  {
    AtomicFile file(path("a"), Existing::Refuse, 3);
    file.write(base::as_bytes("abc"));
    EXPECT_FALSE(fs::exists(path("a")));
    file.commit(Durability::Fsync);
  }
  EXPECT_EQ(get(path("a")), "abc");
  EXPECT_EQ(entries(), 1U);
}

TEST_F(AtomicFileTest, WithoutCommitTheOldFileStaysAndNothingIsLeftBehind) {
  put(path("a"), "old");
  {
    AtomicFile file(path("a"), Existing::Replace, 3);
    file.write(base::as_bytes("new"));
  }
  EXPECT_EQ(get(path("a")), "old");
  EXPECT_EQ(entries(), 1U);
}

TEST_F(AtomicFileTest, AnExistingFileIsReplacedOnlyWhenAsked) {
  put(path("a"), "old");
  EXPECT_EQ(code_of([&] { save(path("a"), "new", Existing::Refuse); }), Code::Exists);
  EXPECT_EQ(get(path("a")), "old");
  save(path("a"), "new", Existing::Replace);
  EXPECT_EQ(get(path("a")), "new");
}

TEST_F(AtomicFileTest, AFileThatAppearsMeanwhileIsNotReplaced) {
  AtomicFile file(path("a"), Existing::Refuse, 3);
  file.write(base::as_bytes("new"));
  put(path("a"), "theirs");
  EXPECT_EQ(code_of([&] { file.commit(Durability::None); }), Code::Exists);
  EXPECT_EQ(get(path("a")), "theirs");
}

TEST_F(AtomicFileTest, ModeAndLinkAreKept) {
  put(path("real"), "old");
  fs::permissions(path("real"), fs::perms::owner_read | fs::perms::owner_write | fs::perms::group_read);
  fs::create_symlink("real", path("link"));
  save(path("link"), "new", Existing::Replace);
  EXPECT_TRUE(fs::is_symlink(path("link")));
  EXPECT_EQ(get(path("real")), "new");
  EXPECT_EQ(fs::status(path("real")).permissions(),
            fs::perms::owner_read | fs::perms::owner_write | fs::perms::group_read);
}

/// Who opens it before it has the old mode could read on.
TEST_F(AtomicFileTest, APrivateFileIsPrivateFromItsFirstMoment) {
  put(path("a"), "old");
  std::optional<mode_t> created;
  tenon::test::FaultyFs fs(system_fs(),
                           [&](std::uint64_t, tenon::test::Call call) -> std::optional<tenon::test::Fault> {
                             if (call != tenon::test::Call::Attributes) return std::nullopt;
                             for (const auto& entry : fs::directory_iterator(folder_)) {
                               struct stat status {};
                               if (entry.path().filename() != "a" && ::stat(entry.path().c_str(), &status) == 0)
                                 created = status.st_mode;
                             }
                             return std::nullopt;
                           });
  const AtomicFile file(path("a"), Existing::Replace, 3, fs);
  ASSERT_TRUE(created);
  EXPECT_EQ(*created & 0777U, 0600U);
}

TEST_F(AtomicFileTest, WhatIsNoFileIsNeverReplaced) {
  ASSERT_EQ(::mkfifo(path("pipe").c_str(), 0600), 0);
  for (const Existing existing : {Existing::Replace, Existing::Refuse})
    EXPECT_EQ(code_of([&] { save(path("pipe"), "new", existing); }), Code::Write);
  EXPECT_TRUE(fs::is_fifo(path("pipe")));
}

TEST_F(AtomicFileTest, ANameThatCannotBeIsToldAsSuch) {
  fs::create_symlink("loop", path("loop"));
  const auto told = [&](const std::string& name) {
    try {
      save(path(name), "new", Existing::Replace);
    } catch (const Error& error) {
      return error.what_happened;
    }
    return std::string{};
  };
  EXPECT_EQ(told(std::string(300, 'x')), "the file system takes no name of this length");
  EXPECT_EQ(told("loop"), "symbolic links lead in a circle");
}

TEST_F(AtomicFileTest, AFullDiskThatShowsAtTheSyncIsToldWithBytesNeededAndFree) {
  tenon::test::FaultyFs fs(system_fs(), [](std::uint64_t, tenon::test::Call call) {
    return call == tenon::test::Call::Sync ? std::optional(tenon::test::Fault{.error = ENOSPC}) : std::nullopt;
  });
  AtomicFile file(path("a"), Existing::Refuse, 3, fs);
  file.write(base::as_bytes("new"));
  try {
    file.finish(Durability::Fsync);
    FAIL() << "synced";
  } catch (const SyncFailed& error) {
    EXPECT_EQ(error.expected, "room for 3 bytes");
    EXPECT_NE(error.found.find("bytes free"), std::string::npos);
  }
}

TEST_F(AtomicFileTest, ANewFileObeysTheUmask) {
  const mode_t before = ::umask(027);
  save(path("a"), "x", Existing::Refuse);
  ::umask(before);
  struct stat status {};
  ASSERT_EQ(::stat(path("a").c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 0777U, 0640U);
}

TEST_F(AtomicFileTest, AMissingFolderIsNamed) {
  EXPECT_EQ(code_of([&] { AtomicFile(path("none/a"), Existing::Refuse, 1); }), Code::Write);
}

TEST_F(AtomicFileTest, MoreThanTheDiskHoldsIsRefusedBeforeWriting) {
  put(path("a"), "old");
  try {
    AtomicFile(path("a"), Existing::Replace, std::uint64_t{1} << 60);
    FAIL() << "no disk has 2^60 bytes";
  } catch (const Error& error) {
    EXPECT_EQ(error.code, Code::Write);
    EXPECT_EQ(error.what_happened, "no space left on the device");
    EXPECT_NE(error.expected.find("1,152,921,504,606,846,976 bytes"), std::string::npos);
    EXPECT_NE(error.found.find("bytes free"), std::string::npos);
  }
  EXPECT_EQ(get(path("a")), "old");
  EXPECT_EQ(entries(), 1U);
}

TEST_F(AtomicFileTest, AWriteThatFailsHalfwayLeavesTheOldFile) {
  put(path("a"), "old");
  const pid_t child = ::fork();
  ASSERT_GE(child, 0);
  if (child == 0) {  // the limit on file sizes is the process's, so it is set in a child
    ::signal(SIGXFSZ, SIG_IGN);
    const rlimit limit{4096, 4096};
    ::setrlimit(RLIMIT_FSIZE, &limit);
    const Code code = code_of([&] { save(path("a"), std::string(100'000, 'x'), Existing::Replace); });
    ::_exit(code == Code::Write ? 0 : 1);
  }
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_EQ(WEXITSTATUS(status), 0);
  EXPECT_EQ(get(path("a")), "old");
  EXPECT_EQ(entries(), 1U);
}

TEST_F(Folder, ATextBeyondItsLimitIsRefused) {
  put(path("a"), std::string(100, 'x'));
  Limits limits;
  limits.json_file_bytes = 99;
  EXPECT_EQ(code_of([&] { read_text(path("a"), limits); }), Code::Limit);
  limits.json_file_bytes = 100;
  EXPECT_EQ(read_text(path("a"), limits).size(), 100U);
}

}  // namespace
}  // namespace tenon::io
