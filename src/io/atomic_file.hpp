// AtomicFile: a file that appears under its final name only when it is whole.
//
//   open temporary in the same folder (O_EXCL) -> write -> commit: fsync file, rename, fsync folder
//   destroyed without commit: the temporary is removed; the old file was never touched
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

#include <tenon/save.hpp>

namespace tenon::io {

class AtomicFile {
 public:
  /// Creates the temporary. `expected_bytes` is the size to come: refused early when the disk cannot hold it.
  /// A symbolic link at `path` is followed, so that its target is replaced and the link stays. Mode bits of an existing
  /// file are kept. Throws Error: Exists (with Existing::Refuse), Write (no folder, no permission, no space: bytes
  /// needed and free are named).
  AtomicFile(const std::string& path, Existing existing, std::uint64_t expected_bytes);
  ~AtomicFile();
  AtomicFile(const AtomicFile&) = delete;
  AtomicFile& operator=(const AtomicFile&) = delete;

  /// Appends. Throws Error Write; the temporary is then useless and commit() refuses.
  void write(std::span<const std::byte> bytes);
  std::uint64_t written() const { return written_; }

  /// Puts other bytes in the place of some that were written. Throws Error Write.
  void rewrite(std::uint64_t offset, std::span<const std::byte> bytes);

  /// After it returns, `path` holds exactly what was written. With Existing::Refuse a file that appeared meanwhile is
  /// not replaced.
  void commit(Durability durability);

 private:
  [[noreturn]] void fail(const char* step, int error_number);

  std::string path_;   ///< as the caller wrote it, for messages
  std::string final_;  ///< where links lead
  std::string folder_;
  std::string temporary_;
  Existing existing_;
  int descriptor_ = -1;
  std::uint64_t written_ = 0;
  std::uint64_t expected_bytes_ = 0;
  bool usable_ = true;
};

}  // namespace tenon::io
