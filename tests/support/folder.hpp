// A folder of its own for each test, gone with all its files at the end; and files as strings.
#pragma once

#include <gtest/gtest.h>
#include <stdlib.h>

#include <cstddef>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <string_view>

namespace tenon::test {

class TemporaryFolder : public testing::Test {
 public:
  std::string path(std::string_view name) const { return (folder_ / name).string(); }
  const std::filesystem::path& folder() const { return folder_; }
  std::size_t entries() const {
    using Walk = std::filesystem::directory_iterator;
    return static_cast<std::size_t>(std::distance(Walk(folder_), Walk()));
  }

 protected:
  void SetUp() override {
    std::string name = (std::filesystem::temp_directory_path() / "tenon-test-XXXXXX").string();
    ASSERT_NE(::mkdtemp(name.data()), nullptr);
    folder_ = name;
  }
  void TearDown() override {
    std::error_code ignored;  // a test may have unmounted or removed it
    std::filesystem::remove_all(folder_, ignored);
  }

 private:
  std::filesystem::path folder_;
};

inline void put(const std::string& path, std::string_view bytes) {
  std::ofstream out(path, std::ios::binary);
  out.write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
  ASSERT_TRUE(out.flush()) << path;
}

inline std::string get(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

}  // namespace tenon::test
