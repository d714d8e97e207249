// libFuzzer: whatever stands in a journal that a dead writer left, recover() takes away no file but those that the
// journal names with their inode and size; and whatever stands in an index, nothing is read but names of its folder.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <vector>

#include <fmt/format.h>

#include "faults/model_fs.hpp"
#include "save/journal.hpp"

namespace {

const std::string kIndex = "d/m.index.json";
const std::vector<std::string> kFiles{kIndex, "d/a", "d/b", "d/b c", "d/e/a", "a"};

void require(bool holds) {
  if (!holds) std::abort();
}

/// "1 3 b": how the journal speaks of a file.
std::string line_about(tenon::test::ModelFs& fs, const std::string& path) {
  const auto state = fs.state(path);
  return fmt::format("{} {} {}\n", state->inode, state->size, path.substr(path.rfind('/') + 1));
}

void recover_from(const std::string& journal) {
  tenon::test::ModelFs fs;
  for (const std::string& path : kFiles) fs.put(path, path);
  fs.put("d/.m.index.json.tenon-old-1-1-0.journal", journal);
  std::vector<std::string> mortal;
  for (const std::string& path : kFiles)
    if (path.starts_with("d/") && path.rfind('/') == 1 && journal.find(line_about(fs, path)) != std::string::npos)
      mortal.push_back(path);
  tenon::saving::recover(fs, "d");
  for (const std::string& path : kFiles)
    require(fs.content(path).has_value() || std::find(mortal.begin(), mortal.end(), path) != mortal.end());
}

void read_index(const std::string& text) {
  tenon::test::ModelFs fs;
  for (const std::string& path : kFiles) fs.put(path, path == kIndex ? text : path);
  for (const tenon::saving::JournalRow& row : tenon::saving::shards_of_index(fs, kIndex))
    require(row.name.find('/') == std::string::npos && fs.content("d/" + row.name).has_value());
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string text(reinterpret_cast<const char*>(data), size);
  if (text.starts_with('{'))
    read_index(text);
  else
    recover_from(text);
  return 0;
}
