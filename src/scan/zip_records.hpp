// Every record of a zip archive as it stands, however forged: the directory's entries, the local headers they point to,
// and those that nothing points to. Nothing is refused; contradictions are told one by one.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <tenon/limits.hpp>

namespace tenon::scanning {

struct ZipHeader {
  std::string_view name;
  std::uint16_t flags = 0, method = 0;
  std::uint32_t crc32 = 0;
  std::uint64_t packed_bytes = 0, unpacked_bytes = 0;
};

struct ZipRecord {
  std::optional<ZipHeader> central;  ///< nothing for a header that the directory does not list
  std::optional<ZipHeader> local;    ///< nothing when there is none where the directory points
  std::uint64_t central_at = 0, local_at = 0;
  std::uint64_t data_at = 0;  ///< behind the local header; 0 without one
  std::uint32_t external_attributes = 0;
  std::uint16_t made_by = 0;

  std::string_view name() const { return central ? central->name : local ? local->name : std::string_view(); }
};

struct ZipProblem {
  std::uint64_t at = 0;
  std::string member, what;
  bool is_limit = false;  ///< zip_entries
};

struct ZipRecords {
  std::vector<ZipRecord> records;
  std::vector<ZipProblem> problems;
  /// Bytes of the file that belong to no record: [begin, end).
  std::vector<std::pair<std::uint64_t, std::uint64_t>> gaps;
  bool has_directory = false;
};

/// Bytes that begin with a local header, or end with an end record.
bool looks_like_zip(std::span<const std::byte> bytes);

/// One of several archives that stand one behind the other, as in a shard of a distributed checkpoint.
struct ZipSlice {
  std::uint64_t begin = 0, end = 0;       ///< within the bytes
  std::uint64_t directory = 0, tail = 0;  ///< where its directory and its end records begin
  std::uint64_t stated_directory = 0;     ///< as it says itself, counting from its own first byte
  std::optional<std::uint64_t> stated_tail;
};

/// Every byte is in one slice; a file that is one archive is one slice. Needs time for the ends of the archives only.
std::vector<ZipSlice> split_archives(std::span<const std::byte> bytes, const Limits& limits);

/// Numbers within the archives count from their own start. Readers that count from the file's start find by them either
/// nothing or the first archive, unless somebody has put another directory there: its place.
std::optional<std::uint64_t> other_directory(std::span<const std::byte> bytes, const std::vector<ZipSlice>& slices);

ZipRecords read_zip_records(std::span<const std::byte> bytes, const Limits& limits);

}  // namespace tenon::scanning
