// ZipReader: the table of contents of a zip archive, as PyTorch writes them and as people re-pack them.
//
//   [local header, name, extra | bytes | data descriptor]... [central directory] [zip64 end, locator] [end record]
//
// Sizes come from the central directory (PyTorch's local headers hold zeros); the start of an entry's bytes comes from
// its local header, which is read only when the bytes are asked for, so that opening touches the file's tail alone.
// Source: PKWARE APPNOTE 6.3.10, sections 4.3 and 4.5; caffe2/serialize/inline_container.cc for PyTorch's habits.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <tenon/error.hpp>
#include <tenon/limits.hpp>

namespace tenon::container {

inline constexpr std::uint16_t kZipStored = 0;
inline constexpr std::uint16_t kZipDeflated = 8;

struct ZipEntry {
  std::string_view name;               ///< into the mapped directory
  std::uint64_t header_offset = 0;     ///< of the local header, from the start of the archive's bytes
  std::uint64_t directory_offset = 0;  ///< of its header in the central directory; 0 where there is none
  std::uint64_t packed_bytes = 0;
  std::uint64_t unpacked_bytes = 0;
  std::uint32_t crc32 = 0;
  std::uint16_t method = 0;
  std::uint16_t flags = 0;

  bool is_encrypted() const { return (flags & 1) != 0; }
};

enum class ZipDamage : std::uint8_t {
  Refuse,   ///< contradictions are Errors
  Salvage,  ///< they become warnings; without a directory the local headers are searched
};

class ZipReader {
 public:
  /// Reads the directory of `bytes`, which must outlive the reader. `file` is for messages.
  /// Throws Error: Corrupt (no end record, entries that overlap, repeat a name or leave the file), Limit, Unsupported
  /// (split archives).
  ZipReader(std::span<const std::byte> bytes, std::string file, const Limits& limits, ZipDamage damage);

  std::span<const ZipEntry> entries() const { return entries_; }
  const std::vector<std::string>& warnings() const { return warnings_; }

  /// The entry of that name, or nullptr. O(1).
  const ZipEntry* find(std::string_view name) const;

  /// True when the writer left out checksums: every entry that holds bytes says zero.
  bool has_checksums() const { return has_checksums_; }

  /// Whole content of a small entry (not a tensor's), its checksum verified unless damage is salvaged. A stored entry
  /// is a view of the archive, and `unpacked` stays empty; a deflated one is unpacked into it.
  std::span<const std::byte> read(const ZipEntry& entry, std::vector<std::byte>& unpacked) const;

  Where where(const ZipEntry& entry) const;

  /// Where the bytes behind the end record begin; they end with the file.
  std::uint64_t comment_offset() const { return comment_offset_; }
  /// Bytes of the directory behind the last entry that the end record counts: where a damaged count hides entries.
  std::uint64_t unlisted_bytes() const { return unlisted_bytes_; }
  /// True when fewer bytes stand there than the end record says.
  bool is_comment_cut() const { return bytes_.size() - comment_offset_ < comment_bytes_; }

 private:
  struct Directory;
  Directory find_directory() const;
  void read_directory(const Directory& directory);
  void search_local_headers();
  void check_order(std::uint64_t directory_offset);
  void index_names();
  void complain(Error error);

  std::span<const std::byte> bytes_;
  std::string file_;
  Limits limits_;
  ZipDamage damage_;
  std::vector<ZipEntry> entries_;
  std::vector<std::uint32_t> slots_;  ///< open addressing: index + 1 of an entry, 0 for free; a power of two
  std::vector<std::string> warnings_;
  bool has_checksums_ = true;
  std::uint64_t comment_offset_ = 0, comment_bytes_ = 0, unlisted_bytes_ = 0;
};

/// True when the bytes begin with a local header, or are an archive without entries.
bool begins_like_zip(std::span<const std::byte> bytes);

/// True when the bytes end with an end record whose comment reaches exactly to the end.
bool ends_like_zip(std::span<const std::byte> bytes);

/// Offset of an entry's bytes, computed from its local header, whose name must be `name`.
/// Throws Error Corrupt at `where` when there is no such header or the bytes would leave the archive.
std::uint64_t zip_data_offset(std::span<const std::byte> archive, std::uint64_t header_offset,
                              std::uint64_t packed_bytes, std::string_view name, const Where& where);

}  // namespace tenon::container
