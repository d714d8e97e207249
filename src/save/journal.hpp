// Journal: what a save in several files is about to name, written down before the first name is given, so that the next
// save can finish or undo what a dead writer began.
//
//   tenon journal 1
//   of model.safetensors
//   index <inode> <bytes> model.safetensors.index.json
//   new <inode> <bytes> model-00001-of-00002.safetensors
//   old <inode> <bytes> model.g2-00001-of-00002.safetensors
//   end
//
// The index is the last file to get its name: when it bears the inode of the first line, the save has happened and only
// old files were left to remove; else it has not, and the new ones are removed. A file is touched only while name,
// inode and size agree. Names are single components of the journal's folder.
//
// Folders may be shared with people who mean harm: a journal counts only where it is the caller's own and names nothing
// but shards of the checkpoint in its second line. Any other is left alone.
#pragma once

#include <set>
#include <string>
#include <vector>

#include "io/atomic_file.hpp"
#include "io/fs.hpp"

namespace tenon::saving {

struct JournalRow {
  std::string name;
  std::uint64_t inode = 0;
  std::uint64_t bytes = 0;
};

struct Journal {
  std::string output;  ///< the checkpoint, whose shards are named after it
  JournalRow index;
  std::vector<JournalRow> made;      ///< shards that get their names
  std::vector<JournalRow> replaced;  ///< shards of the index that is replaced
};

/// One save in several files at a time gives names in a folder. Without locks (some network file systems) two of them
/// may meet; then one finds the names taken.
class FolderLock {
 public:
  /// Not held where another has it.
  FolderLock(io::Fs& fs, const std::string& folder);
  /// Waits for it; `check` is called now and then meanwhile.
  FolderLock(io::Fs& fs, const std::string& folder, const io::Check& check);
  ~FolderLock();
  FolderLock(const FolderLock&) = delete;
  FolderLock& operator=(const FolderLock&) = delete;
  bool is_held() const { return is_held_; }

 private:
  io::Fs& fs_;
  int folder_;
  bool is_held_ = false;
};

/// Writes the journal durably beside the index. Returns its path. Throws Error: Write, Invalid (a name with a line
/// break).
std::string write_journal(io::Fs& fs, const std::string& folder, const Journal& journal);

/// Files to remove, those of `rows` that are still the ones meant. Everything that may fail is done beforehand, so that
/// run() can follow what must not fail any more.
class Removal {
 public:
  Removal(io::Fs& fs, const std::string& folder, std::vector<JournalRow> rows);
  /// Whether all of them are gone.
  bool run() const;
  bool empty() const { return rows_.empty(); }

 private:
  io::Fs& fs_;
  std::vector<JournalRow> rows_;  ///< whose names are paths here
};

/// Finishes or undoes what dead writers began in `folder`; nothing while a live one is giving names there.
void recover(io::Fs& fs, const std::string& folder);
/// The same for who holds the lock and is about to replace an index: with it goes what tells whether a dead writer's
/// save has happened, so that a journal which could not be read before is tried again.
void recover(io::Fs& fs, const std::string& folder, const FolderLock& held);

/// The values of the index's weight_map, each once; none when it is missing or no index.
std::set<std::string> files_of_index(io::Fs& fs, const std::string& path);

/// The files beside it that the index at `path` names and that exist; none when it is missing or no index.
std::vector<JournalRow> shards_of_index(io::Fs& fs, const std::string& path);

}  // namespace tenon::saving
