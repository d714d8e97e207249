// Digests that tenon stores in every file it writes, so that any later change of a byte is found and named.
//
//   xxh3-128 <bytes of a block> <rest> <block> <block> ... <file>      <rest>, <block>, <file>: 32 hex digits each;
//   xxh3-128 1048576 99aa.. 0123..89ab.. 4567..                         the blocks stand without spaces between them
//
// The bytes of each tensor (of each record of an archive) are cut into blocks; every tensor has one at least. <rest> is
// over all other bytes of the file, one behind the other, where this text, and the CRC-32 of the record that it stands
// in, count as zero bytes. <file> is over this text up to itself: it tells damage of the text from damage of what the
// text is about, and says which save a file is of.
// docs/formats/digests.md has the place of the text in each format.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/digest.hpp"
#include "io/mapped_file.hpp"

namespace tenon::formats {

inline constexpr std::uint64_t kDigestBlockBytes = 1ULL << 20;
inline constexpr std::uint64_t kNoBlocks = 0;  ///< the data are left to the archive's CRC-32, or there are none
/// The metadata key, the archive's record and the word in front of an archive's comment.
inline constexpr std::string_view kDigestsKey = "tenon.digests";
/// In the metadata of an index of shards: {"<file>": {"bytes": <size>, "digest": "<the file's own>"}, ...}.
inline constexpr std::string_view kFilesKey = "tenon.files";

struct ByteRange {
  std::uint64_t offset = 0, bytes = 0;
};

/// Where in a file the digests' subjects and the digests themselves are.
struct DigestPlaces {
  std::uint64_t block_bytes = kDigestBlockBytes;
  std::vector<ByteRange> data;  ///< ascending; one row of blocks each
  ByteRange text;               ///< outside the data
  std::vector<std::uint64_t>
      checksums;  ///< four bytes each, outside the data: CRC-32 of the record that holds the text
};

std::uint64_t digest_blocks(std::uint64_t nbytes, std::uint64_t block_bytes);
std::uint64_t digest_text_bytes(std::uint64_t blocks, std::uint64_t block_bytes);

/// Hashes a file's bytes on their way to the disk. Where the text and the checksums will stand, zero bytes come by.
class DigestSink {
 public:
  explicit DigestSink(const DigestPlaces& places);
  void update(std::span<const std::byte> bytes);
  std::string text();  ///< when all of the file has come by; once

 private:
  std::uint64_t update_data(std::span<const std::byte> bytes);
  void finish_block();
  void leave_empty_ranges();

  const DigestPlaces& places_;
  std::uint64_t position_ = 0;
  std::size_t row_ = 0;         ///< of the data in which, or before which, `position_` is
  std::uint64_t in_row_ = 0;    ///< bytes of it that came by
  std::uint64_t in_block_ = 0;  ///< bytes that the current block has
  std::string blocks_;
  base::Xxh3Stream block_, rest_;
};

/// <file>, the last part of a text.
std::string_view file_digest(std::string_view text);

/// True for what only the text of digests looks like, under whatever name it stands.
bool looks_like_digests(std::string_view text);

/// The digests that a file holds of itself.
class FileDigests {
 public:
  using Places = std::function<DigestPlaces()>;

  /// `row_bytes`: sizes of the data in file order. `places` is asked for by places() and rest_matches() only, since it
  /// may touch a page of the file for each row; it may throw Error Corrupt.
  FileDigests(std::shared_ptr<const io::MappedFile> file, std::string text, std::uint64_t block_bytes,
              std::span<const std::uint64_t> row_bytes, Places places);

  const io::MappedFile& file() const { return *file_; }
  /// Why the text is of no use; "" where it is.
  const std::string& problem() const { return problem_; }
  std::string_view file_digest() const { return formats::file_digest(text_); }
  std::uint64_t block_bytes() const { return block_bytes_; }
  std::size_t rows() const { return first_block_.size() - 1; }
  std::uint64_t blocks(std::size_t row) const { return first_block_[row + 1] - first_block_[row]; }

  bool block_matches(std::size_t row, std::uint64_t block, std::span<const std::byte> bytes) const;
  /// The first block of the row's bytes that is not as it was saved; nothing when all are.
  std::optional<std::uint64_t> damaged_block(std::size_t row, std::span<const std::byte> bytes) const;
  bool rest_matches() const;
  DigestPlaces places() const { return places_(); }

 private:
  std::string_view field(std::uint64_t number) const;  ///< 0: rest, 1 + n: block n

  std::shared_ptr<const io::MappedFile> file_;
  std::string text_;
  std::uint64_t block_bytes_;
  std::vector<std::uint64_t> first_block_;  ///< of each row, and of the end
  Places places_;
  std::string problem_;
};

/// Bytes of block `number` of a row that holds `bytes`.
std::span<const std::byte> digest_block(std::span<const std::byte> bytes, std::uint64_t number,
                                        std::uint64_t block_bytes);

/// "block 3 of 7 is not as it was saved (bytes 2,097,216 to 3,145,791 of the file)"; `begin` is where the row begins.
std::string damage_text(std::uint64_t block, std::uint64_t blocks, ByteRange place);

}  // namespace tenon::formats
