// The corpus: what fuzzing kept (fuzz/seeds) and the files of the conformance battery, as bytes in the order of their
// names.
#pragma once

#include <algorithm>
#include <filesystem>
#include <string>
#include <vector>

#include "support/folder.hpp"

namespace tenon::test {

struct CorpusFile {
  std::string name;  ///< below the project's folder
  std::string bytes;
};

inline std::vector<CorpusFile> read_corpus() {
  namespace fs = std::filesystem;
  const fs::path root = TENON_SOURCE_DIR;
  std::vector<CorpusFile> files;
  for (const fs::path& folder : {root / "fuzz" / "seeds", root / "tests" / "conformance" / "data"})
    for (const auto& entry : fs::recursive_directory_iterator(folder))
      if (entry.is_regular_file())
        files.push_back({fs::relative(entry.path(), root).generic_string(), get(entry.path().string())});
  std::sort(files.begin(), files.end(), [](const auto& a, const auto& b) { return a.name < b.name; });
  return files;
}

}  // namespace tenon::test
