#include "io/lost_pages.hpp"

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <filesystem>
#include <fstream>

#include <tenon/error.hpp>

#include "io/mapped_file.hpp"

namespace tenon::io {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kBytes = std::size_t{3} << 16U;  // three pages at least, whatever a page is

class LostPages : public testing::Test {
 protected:
  LostPages() {
    std::string name = (fs::temp_directory_path() / "tenon-lost-XXXXXX").string();
    folder_ = ::mkdtemp(name.data());
    path_ = (folder_ / "a").string();
    std::ofstream(path_, std::ios::binary) << std::string(kBytes, 'x');
  }
  ~LostPages() override {
    std::signal(SIGBUS, SIG_DFL);
    fs::remove_all(folder_);
  }

  fs::path folder_;
  std::string path_;
};

TEST_F(LostPages, AreZerosAndAnErrorThatNamesTheFile) {
  outlive_lost_pages();
  const auto file = MappedFile::open(path_, ReadMode::Map);
  EXPECT_NO_THROW(throw_if_pages_were_lost());
  fs::resize_file(path_, 10);
  EXPECT_EQ(file->bytes()[kBytes / 2], std::byte{0});
  EXPECT_EQ(file->bytes()[kBytes - 1], std::byte{0});
  try {
    throw_if_pages_were_lost();
    FAIL() << "two pages are gone";
  } catch (const Error& error) {
    EXPECT_EQ(error.code, Code::Read);
    EXPECT_EQ(error.where.file, path_);
  }
  EXPECT_NO_THROW(throw_if_pages_were_lost()) << "it was said once";
}

TEST_F(LostPages, WhatIsNoFileOfACheckpointEndsTheProgram) {
  const pid_t child = ::fork();
  if (child == 0) {
    outlive_lost_pages();
    std::raise(SIGBUS);  // as a fault of the machine would
    std::raise(SIGBUS);
    ::_exit(0);
  }
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_TRUE(WIFSIGNALED(status));
}

}  // namespace
}  // namespace tenon::io
