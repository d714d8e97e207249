// AtomicFile: a file that appears under its final name only when it is whole.
//
//   temporary in the same folder, blocks reserved -> write -> finish: fsync, read back -> publish: rename -> sync
//   folder destroyed before publish: the temporary is removed; the old file was never touched
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
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
  explicit SyncFailed(const Error& error) : Error(error) {}
};

/// The system says that the file got no name, and whether that is so cannot be told.
struct NameUntold : Error {
  using Error::Error;
};

/// Called between the steps of a save, also where no bytes move; what it throws ends the save while nothing is named.
using Check = std::function<void()>;

/// Throws Error where a file cannot be put at `path`: Write (a folder, a device, a pipe or a socket stands there, the
/// name is too long, links lead in a circle), Exists (with Existing::Refuse).
void refuse_unusable_name(Fs& fs, const std::string& path, Existing existing);

/// Removes what dead writers left in the folder of `path`; then throws Error Write where the disk has no room for
/// `bytes` more, with the bytes needed and free.
void make_sure_of_room(Fs& fs, const std::string& path, std::uint64_t bytes);

/// Where symbolic links at the last component lead: what a save to `path` replaces.
std::string resolve_links(Fs& fs, const std::string& path);

class AtomicFile {
 public:
  /// Creates the temporary. `expected_bytes` is the size to come: refused early when the disk cannot hold it.
  /// A symbolic link at `path` is followed, so that its target is replaced and the link stays. Mode, owner and access
  /// list are those of the file at `like`, else of the existing file, if there is one; until it has them, nobody but
  /// its owner can open the new one. What dead writers left in the folder is removed. Throws Error: Exists (with
  /// Existing::Refuse), Write (no folder, no regular file, no permission, no space: bytes needed and free are named).
  AtomicFile(const std::string& path, Existing existing, std::uint64_t expected_bytes, Fs& fs = system_fs(),
             const std::string& like = {});
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
  /// `check` is called when the disk is done and while the bytes are read back. Throws Error Write, SyncFailed.
  void finish(Durability durability, const Check& check = {});
  /// Gives the file its name. With Existing::Refuse a file that appeared meanwhile is not replaced: Error Exists. Where
  /// the system reports an error, what stands under the name decides. Throws Error Write, NameUntold.
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
  enum class Named : std::uint8_t { Yes, No, Untold };

  void create_temporary(Readers readers);
  Named named(const std::optional<FileState>& own);
  void discard();
  void write_at(std::uint64_t offset, std::span<const std::byte> bytes);
  void put(std::span<const std::byte> piece);
  void flush();
  void read_back(const Check& check);
  std::vector<std::byte> read_piece(std::size_t index);
  Error failure(const char* step, int error_number);
  [[noreturn]] void fail(const char* step, int error_number);

  Fs& fs_;
  std::string path_;   ///< as the caller wrote it, for messages
  std::string final_;  ///< where links lead
  std::string like_;   ///< whose attributes it takes
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
