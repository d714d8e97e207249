// Golden files: what a function printed when somebody last read it and found it good.
//
// TENON_UPDATE_GOLDEN=1 writes them anew; the difference is then read in review.
#pragma once

#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>

namespace tenon::test {

/// `name` is relative to tests/golden.
inline void expect_golden(const std::string& text, const std::string& name) {
  const std::filesystem::path path = std::filesystem::path(TENON_SOURCE_DIR) / "tests" / "golden" / name;
  if (std::getenv("TENON_UPDATE_GOLDEN") != nullptr) {
    std::filesystem::create_directories(path.parent_path());
    std::ofstream(path, std::ios::binary) << text;
  }
  std::ifstream in(path, std::ios::binary);
  ASSERT_TRUE(in) << path << " is missing: run with TENON_UPDATE_GOLDEN=1 and read what it holds";
  const std::string golden{std::istreambuf_iterator<char>(in), {}};
  EXPECT_EQ(text, golden) << path;
}

}  // namespace tenon::test
