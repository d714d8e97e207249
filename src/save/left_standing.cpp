#include "save/left_standing.hpp"

#include <algorithm>
#include <cstddef>
#include <filesystem>

#include "base/text.hpp"
#include "io/atomic_file.hpp"
#include "save/journal.hpp"
#include "save/shards.hpp"

namespace tenon::saving {

namespace {

std::string name_of(const std::string& path) { return std::filesystem::path(path).filename().string(); }

bool is_file(io::Fs& fs, const std::string& path) {
  const auto state = fs.state(path);
  return state && state->is_regular;
}

/// Files of the index that are no shards of `path` by their names.
std::vector<std::string> others_in_index(io::Fs& fs, const std::string& path) {
  std::vector<std::string> others;
  for (const JournalRow& row : shards_of_index(fs, io::resolve_links(fs, index_path(path))))
    if (!is_shard_of(row.name, name_of(path))) others.push_back(row.name);
  return others;
}

std::string some_of(std::vector<std::string> names) {
  constexpr std::size_t kShown = 3;
  const std::size_t more = names.size() - std::min(names.size(), kShown);
  names.resize(names.size() - more);
  return base::join(names, ", ") + (more > 0 ? " and " + base::count_text(more) + " more" : std::string{});
}

}  // namespace

std::vector<std::string> left_standing(io::Fs& fs, const std::string& path, OutputForm form) {
  std::vector<std::string> notes;
  if (form == OutputForm::OneFile) {
    if (is_file(fs, index_path(path)))
      notes.push_back("the index " + name_of(index_path(path)) +
                      " of an earlier save still stands beside the file, with its shards: who opens the folder may get "
                      "those; remove what is not wanted");
    return notes;
  }
  if (is_file(fs, path))
    notes.push_back("the file " + name_of(path) +
                    " of an earlier save still stands beside the shards: who opens the folder may get that one; remove "
                    "what is not wanted");
  if (const auto others = others_in_index(fs, path); !others.empty())
    notes.push_back("the replaced index also named " + some_of(others) + ": by their names no shards of " +
                    name_of(path) + ", so they stay");
  return notes;
}

}  // namespace tenon::saving
