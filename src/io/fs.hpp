// Fs: the system calls of a save, one function each, so that a test can count, fail, drop and reorder them. No policy
// is in here: what follows a failure is decided above.
//
//   save -> AtomicFile -> Fs -> the system      (in tests: -> FaultyFs -> ModelFs, a disk in memory)
//
// Every function gives a negative errno on failure and never throws.
#pragma once

#include <sys/types.h>

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <tenon/export.hpp>

namespace tenon::io {

/// What stat() tells of a name, links followed.
struct FileState {
  std::uint64_t inode = 0;
  std::uint64_t size = 0;
  bool is_folder = false;
  std::uint64_t device = 0;  ///< on which the inode is one of its own
  bool is_regular = true;    ///< no folder, device, pipe or socket
  bool is_own = true;        ///< of the user whose rights this process has

  bool is_same_file(const FileState& other) const { return inode == other.inode && device == other.device; }
};

enum class Overwrite : std::uint8_t { No, Yes };
/// Who may open a file that is being written: whoever the umask lets, or its owner alone.
enum class Readers : std::uint8_t { ByUmask, Owner };

class Fs {
 public:
  virtual ~Fs() = default;

  // ---- one file; a descriptor is the caller's to close

  /// A new file for reading and writing, mode 0666 under the caller's umask or 0600; -EEXIST when the name is taken.
  virtual int create(const std::string& path, Readers readers) = 0;
  /// No link, and nothing that would wait for another process.
  virtual int open_for_reading(const std::string& path) = 0;
  virtual int open_folder(const std::string& path) = 0;
  /// Count of bytes, which may be fewer than asked for.
  virtual ssize_t write(int file, std::span<const std::byte> bytes, std::uint64_t offset) = 0;
  virtual ssize_t read(int file, std::span<std::byte> bytes, std::uint64_t offset) = 0;
  /// Reserves the disk's blocks, so that a full disk shows before the first byte.
  virtual int allocate(int file, std::uint64_t bytes) = 0;
  /// Hint: the disk may begin with these bytes. Promises nothing and fails unseen.
  virtual void start_writing_out(int file, std::uint64_t offset, std::uint64_t bytes) = 0;
  virtual int sync(int file) = 0;
  virtual int close(int file) = 0;
  /// Takes the writer's lock on a file or folder; -EWOULDBLOCK when another descriptor has it. It ends with the
  /// descriptor, also when the process is killed.
  virtual int lock(int file) = 0;
  /// Of the open file, whatever became of its name.
  virtual std::optional<FileState> state(int file) = 0;
  /// How many names the open file has.
  virtual int link_count(int file) = 0;
  /// Gives the file the mode and, as far as the caller may, owner and extended attributes (access lists) of `path`;
  /// nothing when there is no such file.
  virtual int keep_attributes(const std::string& path, int file) = 0;

  // ---- names

  virtual int rename(const std::string& from, const std::string& to, Overwrite overwrite) = 0;
  virtual int unlink(const std::string& path) = 0;
  virtual std::optional<FileState> state(const std::string& path) = 0;
  /// 0 when something has that name, links followed; else why nothing is found: -ENOENT, -ENAMETOOLONG, ...
  virtual int look(const std::string& path) = 0;
  /// Is there surely nothing of that name? False where it cannot be told: what state() has no answer for may be there.
  bool is_missing(const std::string& path);
  virtual std::optional<std::string> read_link(const std::string& path) = 0;
  virtual std::vector<std::string> list(const std::string& folder) = 0;
  /// Nothing where the file system does not tell.
  virtual std::optional<std::uint64_t> free_bytes(const std::string& folder) = 0;
  /// How many more files it has room for (inodes); nothing where that is not counted.
  virtual std::optional<std::uint64_t> free_files(const std::string& folder) = 0;
  /// Name of a file system that may acknowledge a sync without doing it (`nfs`, `fuse`, ...); "" for others.
  virtual std::string unsure_kind(const std::string& folder) = 0;

  // ---- who writes

  /// This process, as it stands in the names of its temporary files: `<boot>-<process>-<start>`, letters and digits.
  virtual std::string writer() = 0;
  /// Does the process of that text run no more? False where it cannot be told.
  virtual bool is_gone(std::string_view writer) = 0;
};

/// The operating system's.
Fs& system_fs();

/// `folder/name`. Not by std::filesystem: where memory ends while libstdc++ 12 joins paths, it frees what it does not
/// own.
std::string path_in(const std::string& folder, std::string_view name);

/// The folder of a path; "." where it names none.
std::string folder_of(const std::string& path);

/// Whose files are read.
enum class Owner : std::uint8_t { Anybody, Self };

/// The bytes of a small file; nothing when it cannot be read, is no regular file, is larger than `limit_bytes` or,
/// with Owner::Self, another user's.
std::optional<std::string> read_small_file(Fs& fs, const std::string& path, std::uint64_t limit_bytes,
                                           Owner owner = Owner::Anybody);

}  // namespace tenon::io
