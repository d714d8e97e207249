// MappedFile: the bytes of one regular file, read-only. Together with fs.hpp and append.hpp this is the
// only place with system calls.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include <tenon/checkpoint.hpp>

#include "io/lost_pages.hpp"

namespace tenon::io {

/// What stat() tells of a path.
enum class PathKind { Missing, File, Folder, Other };
PathKind path_kind(const std::string& path);

/// An open file: private read-only mapping (ReadMode::Map) or a copy in memory (ReadMode::Copy).
class MappedFile {
 public:
  /// Throws Error: NotFound, Read (permission, a folder, a device or pipe; I/O error).
  static std::shared_ptr<const MappedFile> open(const std::string& path, ReadMode mode);

  /// Opens `relative` (parts joined with `/`, none of them `..`) below `folder` ("" is the current one) without
  /// following a link in any part of it, and so never leaves the folder.
  ///
  /// One kind of link is followed: `../../blobs/<hex digits>`, how the Hugging Face cache lays its snapshots out; the
  /// blob itself must be a regular file. Throws Error: NotFound, Read (a link, as above).
  static std::shared_ptr<const MappedFile> open_below(const std::string& folder, const std::string& relative,
                                                      ReadMode mode);

  /// The same for a name that a file or folder gives to another: one path component. Throws Error Corrupt for others.
  static std::shared_ptr<const MappedFile> open_beside(const std::string& folder, const std::string& name,
                                                       ReadMode mode);

  /// Bytes [offset, offset + count) of `whole`, which it keeps open, under a name of its own (`a.tar: b.pt`). The range
  /// is the caller's to check.
  static std::shared_ptr<const MappedFile> part(std::shared_ptr<const MappedFile> whole, std::uint64_t offset,
                                                std::uint64_t count, std::string name);

  /// Bytes in memory that stand for a file: a member that was unpacked.
  static std::shared_ptr<const MappedFile> of_bytes(std::vector<std::byte> bytes, std::string name);

  ~MappedFile();
  MappedFile(const MappedFile&) = delete;
  MappedFile& operator=(const MappedFile&) = delete;

  const std::string& path() const { return path_; }
  std::span<const std::byte> bytes() const { return bytes_; }
  std::uint64_t size() const { return bytes_.size(); }

  /// Throws Error Read when size, modification time or inode differ from those at open: the answer would be a guess.
  void require_unchanged() const;

  /// Reads bytes [offset, offset + out.size()) from the file itself, past the mapping, whose pages stay untouched. The
  /// range is the caller's to check. Throws Error Read (I/O error, the file ends before).
  void read(std::uint64_t offset, std::span<std::byte> out) const;

  /// Is it the same file on the disk, whatever it is called? False for what was never opened by a path.
  bool is_same_file(const MappedFile& other) const;

  /// Tells the kernel that a long sequential read of the range follows.
  void will_read(std::uint64_t offset, std::uint64_t count) const;

 private:
  struct Identity;
  explicit MappedFile(std::string path);
  void take(int descriptor, ReadMode mode);  ///< owns the descriptor from the call on

  std::string path_;
  int descriptor_ = -1;
  std::span<const std::byte> bytes_;
  std::optional<MappedRange> range_;  ///< of a mapping
  std::unique_ptr<std::byte[]> copy_;
  std::vector<std::byte> owned_;
  std::shared_ptr<const MappedFile> whole_;  ///< of a part
  std::unique_ptr<Identity> identity_;
};

/// Whole content of a small text file (JSON, logs) or of standard input (`-`), at most `json_file_bytes`.
std::string read_text(const std::string& path, const Limits& limits);

}  // namespace tenon::io
