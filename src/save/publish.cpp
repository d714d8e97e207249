#include "save/publish.hpp"

#include <algorithm>
#include <cstddef>
#include <filesystem>

#include "save/journal.hpp"

namespace tenon::saving {

namespace {

namespace paths = std::filesystem;

JournalRow row_of(io::AtomicFile& file) {
  const io::FileState state = file.state();
  return {paths::path(file.final_path()).filename().string(), state.inode, state.size};
}

/// Shards of the index that is about to be replaced which the new one does not name.
std::vector<JournalRow> replaced_shards(io::Fs& fs, const std::string& index, const std::vector<JournalRow>& made) {
  std::vector<JournalRow> old = shards_of_index(fs, index);
  std::erase_if(old, [&](const JournalRow& row) {
    return std::any_of(made.begin(), made.end(), [&](const JournalRow& other) { return other.name == row.name; });
  });
  return old;
}

class SeveralFiles {
 public:
  SeveralFiles(io::Fs& fs, const std::vector<std::unique_ptr<io::AtomicFile>>& files, Durability durability)
      : fs_(fs), files_(files), durability_(durability), folder_(io::folder_of(files.back()->final_path())) {}

  void publish() {
    const FolderLock lock(fs_, folder_, io::Wait::Yes);
    recover(fs_, folder_, lock);
    Journal journal;
    journal.index = row_of(*files_.back());
    for (std::size_t i = 0; i + 1 < files_.size(); ++i) journal.made.push_back(row_of(*files_[i]));
    journal.replaced = replaced_shards(fs_, files_.back()->final_path(), journal.made);
    const Removal removal(fs_, folder_, journal.replaced);
    const std::string journal_path = write_journal(fs_, folder_, journal);
    try {
      name_all();
    } catch (...) {
      for (const auto& file : files_) file->withdraw();
      fs_.unlink(journal_path);
      throw;
    }
    // From here on the save has happened, and nothing is allocated any more. Should the names not reach the disk, or an
    // old shard not go, the journal stays for the next save.
    if (durability_ == Durability::Fsync) files_.back()->sync_folder();
    if (!removal.run()) return;
    // The journal must not be gone before the files that only it still knows.
    if (durability_ == Durability::Fsync && !removal.empty()) files_.back()->sync_folder();
    fs_.unlink(journal_path);
  }

 private:
  void name_all() {
    for (std::size_t i = 0; i + 1 < files_.size(); ++i) {
      try {
        files_[i]->publish();
      } catch (const Error& error) {
        if (error.code == Code::Exists) throw NamesTaken(error);
        throw;
      }
    }
    // The index must not be on the disk before what it names.
    if (durability_ == Durability::Fsync) files_.back()->sync_folder();
    files_.back()->publish();
  }

  io::Fs& fs_;
  const std::vector<std::unique_ptr<io::AtomicFile>>& files_;
  Durability durability_;
  std::string folder_;
};

}  // namespace

void publish(io::Fs& fs, const std::vector<std::unique_ptr<io::AtomicFile>>& files, Durability durability) {
  if (files.size() > 1) return SeveralFiles(fs, files, durability).publish();
  files.front()->publish();
  if (durability == Durability::Fsync) files.front()->sync_folder();
}

}  // namespace tenon::saving
