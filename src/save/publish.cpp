#include "save/publish.hpp"

#include <algorithm>
#include <cstddef>
#include <filesystem>

#include "save/journal.hpp"
#include "save/shards.hpp"

namespace tenon::saving {

namespace {

namespace paths = std::filesystem;

JournalRow row_of(io::AtomicFile& file) {
  const io::FileState state = file.state();
  return {paths::path(file.final_path()).filename().string(), state.inode, state.size};
}

/// Shards of the index that is about to be replaced which the new one does not name. An index may come from anywhere
/// and name any file: leave to replace it is none to remove what is no shard of this output by its name.
std::vector<JournalRow> replaced_shards(io::Fs& fs, const std::string& index, const Journal& journal) {
  std::vector<JournalRow> old = shards_of_index(fs, index);
  const auto is_made = [&](const JournalRow& row) {
    return std::any_of(journal.made.begin(), journal.made.end(),
                       [&](const JournalRow& made) { return made.name == row.name; });
  };
  std::erase_if(old, [&](const JournalRow& row) { return !is_shard_of(row.name, journal.output) || is_made(row); });
  return old;
}

class SeveralFiles {
 public:
  SeveralFiles(io::Fs& fs, const std::vector<std::unique_ptr<io::AtomicFile>>& files, Durability durability,
               const io::Check& check)
      : fs_(fs),
        files_(files),
        durability_(durability),
        check_(check),
        folder_(io::folder_of(files.back()->final_path())) {}

  void publish(const std::string& path) {
    const FolderLock lock(fs_, folder_, check_);
    recover(fs_, folder_, lock);
    Journal journal;
    journal.output = paths::path(path).filename().string();
    journal.index = row_of(*files_.back());
    for (std::size_t i = 0; i + 1 < files_.size(); ++i) journal.made.push_back(row_of(*files_[i]));
    journal.replaced = replaced_shards(fs_, files_.back()->final_path(), journal);
    const Removal removal(fs_, folder_, journal.replaced);
    const std::string journal_path = write_journal(fs_, folder_, journal);
    try {
      name_all();
    } catch (const io::NameUntold&) {
      throw;  // the index may stand: nothing that it names is taken away, and the next save reads the journal
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
    check_();
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
    check_();
    files_.back()->publish();
  }

  io::Fs& fs_;
  const std::vector<std::unique_ptr<io::AtomicFile>>& files_;
  Durability durability_;
  const io::Check& check_;
  std::string folder_;
};

}  // namespace

void publish(io::Fs& fs, const std::string& path, const std::vector<std::unique_ptr<io::AtomicFile>>& files,
             Durability durability, const io::Check& check) {
  if (files.size() > 1) return SeveralFiles(fs, files, durability, check).publish(path);
  check();
  files.front()->publish();
  if (durability == Durability::Fsync) files.front()->sync_folder();
}

}  // namespace tenon::saving
