// AtomicFile: a file that appears under its final name only when it is whole.
//
//   temporary in the same folder, blocks reserved -> write -> finish: fsync, read back -> publish: rename -> sync
//   folder destroyed before publish: the temporary is removed; the old file was never touched
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <tenon/save.hpp>

#include "base/digest.hpp"
#include "io/fs.hpp"

namespace tenon::io {

/// The disk did not take the bytes. The kernel may have dropped them and call them written at a second fsync, so the
/// way out is to write all of it again, into a new file.
struct SyncFailed : Error {
  using Error::Error;
};

/// Where symbolic links at the last component lead: what a save to `path` replaces.
std::string resolve_links(Fs& fs, const std::string& path);

class AtomicFile {
 public:
  /// Creates the temporary. `expected_bytes` is the size to come: refused early when the disk cannot hold it.
  /// A symbolic link at `path` is followed, so that its target is replaced and the link stays. Mode, owner and access
  /// list of an existing file are kept. What dead writers left in the folder is removed. Throws Error: Exists (with
  /// Existing::Refuse), Write (no folder, no permission, no space: bytes needed and free are named).
  AtomicFile(const std::string& path, Existing existing, std::uint64_t expected_bytes, Fs& fs = system_fs());
  ~AtomicFile();
  AtomicFile(const AtomicFile&) = delete;
  AtomicFile& operator=(const AtomicFile&) = delete;

  /// Appends. Throws Error Write; the temporary is then useless and commit() refuses.
  void write(std::span<const std::byte> bytes);
  std::uint64_t written() const { return written_; }

  /// Replaces bytes that write() took: [offset, offset + bytes.size()) of the file, once all of it was given. Throws
  /// Error Write.
  void rewrite(std::uint64_t offset, std::span<const std::byte> bytes);

  /// finish, publish and, with Durability::Fsync, sync_folder: after it returns, `path` holds exactly what was written.
  void commit(Durability durability);

  // ---- the steps of commit, for a save in several files

  /// All bytes are on the disk (Durability::Fsync) and read back as they were given; the name is still the old one's.
  /// Throws Error Write, SyncFailed.
  void finish(Durability durability);
  /// Gives the file its name. With Existing::Refuse a file that appeared meanwhile is not replaced: Error Exists.
  void publish();
  /// The names in the folder survive a power cut. Throws Error Write.
  void sync_folder();
  /// Removes the published file: for a save whose later files could not be published. Errors are not told.
  void withdraw();

  /// Where links lead.
  const std::string& final_path() const { return final_; }
  /// The file's identity, which stays through publish(). Throws Error Write.
  FileState state();

 private:
  void create_temporary();
  void discard();
  void write_at(std::uint64_t offset, std::span<const std::byte> bytes);
  void put(std::span<const std::byte> piece);
  void flush();
  void read_back();
  std::vector<std::byte> read_piece(std::size_t index);
  [[noreturn]] void fail(const char* step, int error_number);

  Fs& fs_;
  std::string path_;   ///< as the caller wrote it, for messages
  std::string final_;  ///< where links lead
  std::string folder_;
  std::string temporary_;  ///< "" before and after its life
  Existing existing_;
  int descriptor_ = -1;
  std::uint64_t written_ = 0;
  std::uint64_t expected_bytes_ = 0;
  std::vector<std::byte> gathered_;  ///< less than a piece that waits for more
  std::vector<base::Xxh3> hashes_;   ///< of every piece that was put
  bool usable_ = true;
  bool is_published_ = false;
};

/// Writes a text durably under `path`. Throws as AtomicFile does.
void write_text(const std::string& path, std::string_view text, Existing existing);

}  // namespace tenon::io
