// ModelFs: a disk in memory that knows what a power cut may leave of it.
//
// What programs see is the cache; what survives is the disk. Writes and names wait between them until an fsync of their
// file or folder. A power cut leaves the disk and ANY subset of what waits, writes torn in half: more than most file
// systems allow and no less than POSIX does. Source of the model: Pillai et al., All File Systems Are Not Created
// Equal, OSDI 2014; ext4, XFS and Btrfs after a failed fsync: Rebello et al., Can Applications Recover from fsync
// Failures?, USENIX ATC 2020.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "io/fs.hpp"

namespace tenon::test {

class ModelFs final : public io::Fs {
 public:
  /// Names and files, as a reader finds them.
  struct Disk {
    std::map<std::string, std::uint64_t> names;     ///< path -> inode
    std::map<std::uint64_t, std::string> contents;  ///< inode -> bytes
  };

  ModelFs() = default;
  /// A machine that starts with `disk`, everything on it safe.
  explicit ModelFs(Disk disk);

  // ---- what tests ask and set

  std::optional<std::string> content(const std::string& path) const;
  std::vector<std::string> paths() const;
  void put(const std::string& path, std::string content);  ///< safe at once
  void remove(const std::string& path);                    ///< likewise
  /// The same machine when the process was killed: the cache stays, descriptors and locks do not.
  Disk after_kill() const;
  /// What a power cut may leave: every subset of what waits where that is at most `limit` states, else `limit` of them
  /// (none, all, each one alone missing or present, and random ones).
  std::vector<Disk> after_power_cut(std::size_t limit) const;

  std::optional<std::uint64_t> capacity;  ///< bytes; none: endless
  bool tells_free_bytes = true;
  bool can_allocate = true;
  std::string writer_name = "model-1-1";
  std::string alive_writer;  ///< one more that is not gone

  /// What a failing fsync does to the file: the waiting writes never reach the disk, and no later fsync says so.
  void lose_waiting(int file);
  /// What a failing close may mean on a network file system: the server did not take all of the file.
  void cut_at_close(int file);

  // ---- Fs

  int create(const std::string& path, io::Readers readers) override;
  int open_for_reading(const std::string& path) override;
  int open_folder(const std::string& path) override;
  ssize_t write(int file, std::span<const std::byte> bytes, std::uint64_t offset) override;
  ssize_t read(int file, std::span<std::byte> bytes, std::uint64_t offset) override;
  int allocate(int file, std::uint64_t bytes) override;
  void start_writing_out(int, std::uint64_t, std::uint64_t) override {}
  int sync(int file) override;
  int close(int file) override;
  int lock(int file) override;
  std::optional<io::FileState> state(int file) override;
  int link_count(int file) override;
  int keep_attributes(const std::string&, int) override { return 0; }
  int rename(const std::string& from, const std::string& to, io::Overwrite overwrite) override;
  int unlink(const std::string& path) override;
  std::optional<io::FileState> state(const std::string& path) override;
  int look(const std::string& path) override;
  std::optional<std::string> read_link(const std::string&) override { return std::nullopt; }
  std::vector<std::string> list(const std::string& folder) override;
  std::optional<std::uint64_t> free_bytes(const std::string&) override;
  std::optional<std::uint64_t> free_files(const std::string&) override { return std::nullopt; }
  std::string unsure_kind(const std::string&) override { return {}; }
  std::string writer() override { return writer_name; }
  bool is_gone(std::string_view writer) override { return writer != writer_name && writer != alive_writer; }

  /// open(O_CREAT | O_TRUNC), which only bad writers need.
  int create_or_empty(const std::string& path);

 private:
  /// Something that is in the cache and not yet on the disk.
  struct Waiting {
    enum class Kind : std::uint8_t { Write, Size, Name, Unname, Rename } kind;
    std::uint64_t inode = 0;
    std::uint64_t offset = 0;  ///< of Write; the size of Size
    std::string bytes;
    std::string path;  ///< Name, Unname; where Rename leads to
    std::string from;
  };
  struct Open {
    std::uint64_t inode = 0;
    std::string folder;  ///< of a folder; "" for files
    bool is_locked = false;
  };

  static void apply(Disk& disk, const Waiting& change);
  void add(Waiting change);
  std::uint64_t used() const;
  int open(std::uint64_t inode, std::string folder);

  Disk cache_;
  Disk disk_;
  std::vector<Waiting> waiting_;
  std::map<int, Open> open_;
  int next_descriptor_ = 3;
  std::uint64_t next_inode_ = 1;
};

}  // namespace tenon::test
