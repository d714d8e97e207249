#include "io/lost_pages.hpp"

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <filesystem>
#include <string>

#include <tenon/error.hpp>

#include "io/mapped_file.hpp"
#include "support/folder.hpp"

namespace tenon::io {
namespace {

constexpr std::size_t kBytes = std::size_t{3} << 16U;  // three pages at least, whatever a page is

class LostPages : public test::TemporaryFolder {
 protected:
  void TearDown() override {
    std::signal(SIGBUS, SIG_DFL);
    TemporaryFolder::TearDown();
  }
};

TEST_F(LostPages, AreZerosAndAnErrorThatNamesTheFile) {
  const std::string file_path = path("a");
  test::put(file_path, std::string(kBytes, 'x'));
  outlive_lost_pages();
  const auto file = MappedFile::open(file_path, ReadMode::Map);
  EXPECT_NO_THROW(throw_if_pages_were_lost());
  std::filesystem::resize_file(file_path, 10);
  EXPECT_EQ(file->bytes()[kBytes / 2], std::byte{0});
  EXPECT_EQ(file->bytes()[kBytes - 1], std::byte{0});
  try {
    throw_if_pages_were_lost();
    FAIL() << "two pages are gone";
  } catch (const Error& error) {
    EXPECT_EQ(error.code, Code::Read);
    EXPECT_EQ(error.where.file, file_path);
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
