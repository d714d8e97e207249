// Source of the hash: xxHash 0.8, XXH3 128 bits without a seed, doc/xxhash_spec.md.
#include "formats/digests.hpp"

#include <algorithm>
#include <array>

#include <fmt/format.h>

#include <tenon/error.hpp>

#include "base/cursor.hpp"
#include "base/text.hpp"
#include "base/utf8.hpp"

namespace tenon::formats {

namespace {

constexpr std::string_view kAlgorithm = "xxh3-128";
constexpr std::uint64_t kHexBytes = 32;

std::string head(std::uint64_t block_bytes) { return fmt::format("{} {} ", kAlgorithm, block_bytes); }

std::string whole_text(std::uint64_t block_bytes, const std::string& rest, const std::string& blocks) {
  std::string text = head(block_bytes) + rest + " ";
  if (!blocks.empty()) text += blocks + " ";
  return text + base::hex(base::xxh3(base::as_bytes(text)));
}

void update_zeros(base::Xxh3Stream& stream, std::uint64_t count) {
  static constexpr std::array<std::byte, 4096> kZeros{};
  for (; count > 0; count -= std::min<std::uint64_t>(count, kZeros.size()))
    stream.update(std::span(kZeros).first(std::min<std::uint64_t>(count, kZeros.size())));
}

/// Every byte but the data; what is masked counts as zeros.
base::Xxh3 digest_of_rest(std::span<const std::byte> file, const DigestPlaces& places) {
  struct Gap {
    ByteRange range;
    bool is_data;
  };
  std::vector<Gap> gaps;
  for (const ByteRange& data : places.data) gaps.push_back({data, true});
  gaps.push_back({places.text, false});
  for (const std::uint64_t at : places.checksums) gaps.push_back({{at, sizeof(std::uint32_t)}, false});
  std::stable_sort(gaps.begin(), gaps.end(),
                   [](const Gap& a, const Gap& b) { return a.range.offset < b.range.offset; });
  base::Xxh3Stream rest;
  std::uint64_t at = 0;
  for (const Gap& gap : gaps) {
    if (gap.range.offset < at || gap.range.offset > file.size() || gap.range.bytes > file.size() - gap.range.offset)
      return {};  // no honest layout: the ranges overlap or leave the file
    rest.update(file.subspan(at, gap.range.offset - at));
    if (!gap.is_data) update_zeros(rest, gap.range.bytes);
    at = gap.range.offset + gap.range.bytes;
  }
  rest.update(file.subspan(at));
  return rest.finish();
}

}  // namespace

std::uint64_t digest_blocks(std::uint64_t nbytes, std::uint64_t block_bytes) {
  if (block_bytes == kNoBlocks) return 0;
  return std::max<std::uint64_t>(1, nbytes / block_bytes + (nbytes % block_bytes != 0 ? 1 : 0));
}

std::uint64_t digest_text_bytes(std::uint64_t blocks, std::uint64_t block_bytes) {
  const std::uint64_t block_field = blocks == 0 ? 0 : blocks * kHexBytes + 1;
  return head(block_bytes).size() + kHexBytes + 1 + block_field + kHexBytes;
}

// ---- writing

DigestSink::DigestSink(const DigestPlaces& places) : places_(places) { leave_empty_ranges(); }

void DigestSink::update(std::span<const std::byte> bytes) {
  while (!bytes.empty()) {
    const bool has_data = row_ < places_.data.size();
    std::uint64_t taken = bytes.size();
    if (has_data && position_ >= places_.data[row_].offset) {
      taken = update_data(bytes);
    } else {
      if (has_data) taken = std::min(taken, places_.data[row_].offset - position_);
      rest_.update(bytes.first(taken));
    }
    position_ += taken;
    bytes = bytes.subspan(taken);
    leave_empty_ranges();
  }
}

std::uint64_t DigestSink::update_data(std::span<const std::byte> bytes) {
  std::uint64_t taken = std::min<std::uint64_t>(bytes.size(), places_.data[row_].bytes - in_row_);
  if (places_.block_bytes != kNoBlocks) {
    taken = std::min(taken, places_.block_bytes - in_block_);
    block_.update(bytes.first(taken));
    in_block_ += taken;
  }
  in_row_ += taken;
  const bool row_ends = in_row_ == places_.data[row_].bytes;
  if (row_ends || in_block_ == places_.block_bytes) finish_block();
  if (row_ends) {
    ++row_;
    in_row_ = 0;
  }
  return taken;
}

void DigestSink::finish_block() {
  if (places_.block_bytes == kNoBlocks) return;
  blocks_ += base::hex(block_.finish());
  in_block_ = 0;
}

void DigestSink::leave_empty_ranges() {
  for (; row_ < places_.data.size() && places_.data[row_].bytes == 0 && places_.data[row_].offset <= position_; ++row_)
    finish_block();
}

std::string DigestSink::text() {
  TENON_ASSERT(row_ == places_.data.size());
  std::string text = whole_text(places_.block_bytes, base::hex(rest_.finish()), blocks_);
  TENON_ASSERT(text.size() == places_.text.bytes);
  return text;
}

// ---- reading

std::string_view file_digest(std::string_view text) {
  return text.substr(text.size() - std::min<std::size_t>(text.size(), kHexBytes));
}

bool looks_like_digests(std::string_view text) {
  return text.starts_with(kAlgorithm) && text.size() >= digest_text_bytes(0, kNoBlocks) &&
         file_digest(text) == base::hex(base::xxh3(base::as_bytes(text.substr(0, text.size() - kHexBytes))));
}

FileDigests::FileDigests(std::shared_ptr<const io::MappedFile> file, std::string text, std::uint64_t block_bytes,
                         std::span<const std::uint64_t> row_bytes, Places places)
    : file_(std::move(file)), text_(std::move(text)), block_bytes_(block_bytes), places_(std::move(places)) {
  first_block_.reserve(row_bytes.size() + 1);
  first_block_.push_back(0);
  for (const std::uint64_t bytes : row_bytes)
    first_block_.push_back(first_block_.back() + digest_blocks(bytes, block_bytes));
  if (!text_.starts_with(head(block_bytes)))
    problem_ =
        fmt::format("the stored digests are damaged or of a kind that this version does not know: `{}`, not `{}`",
                    base::escape_for_terminal(text_.substr(0, head(block_bytes).size())), head(block_bytes));
  else if (text_.size() != digest_text_bytes(first_block_.back(), block_bytes))
    problem_ = fmt::format("the stored digests are {} long, not {}", base::plural(text_.size(), "byte"),
                           base::count_text(digest_text_bytes(first_block_.back(), block_bytes)));
  else if (!looks_like_digests(text_))
    problem_ = "the stored digests are damaged: they do not match their own digest";
}

std::string_view FileDigests::field(std::uint64_t number) const {
  const std::uint64_t space = number > 0 ? 1 : 0;
  return std::string_view(text_).substr(head(block_bytes_).size() + space + number * kHexBytes, kHexBytes);
}

bool FileDigests::block_matches(std::size_t row, std::uint64_t block, std::span<const std::byte> bytes) const {
  return base::hex(base::xxh3(bytes)) == field(1 + first_block_[row] + block);
}

std::optional<std::uint64_t> FileDigests::damaged_block(std::size_t row, std::span<const std::byte> bytes) const {
  for (std::uint64_t i = 0; i < blocks(row); ++i)
    if (!block_matches(row, i, digest_block(bytes, i, block_bytes_))) return i;
  return std::nullopt;
}

bool FileDigests::rest_matches() const {
  const DigestPlaces places = places_();
  const std::uint32_t checksum = base::crc32(base::as_bytes(text_));
  const auto is_checksum = [&](std::uint64_t at) {
    if (at > file_->size() || file_->size() - at < sizeof checksum) return false;
    return base::Cursor(file_->bytes().subspan(at), file_->path()).u32("CRC-32") == checksum;
  };
  return std::all_of(places.checksums.begin(), places.checksums.end(), is_checksum) &&
         base::hex(digest_of_rest(file_->bytes(), places)) == field(0);
}

std::span<const std::byte> digest_block(std::span<const std::byte> bytes, std::uint64_t number,
                                        std::uint64_t block_bytes) {
  const std::uint64_t begin = std::min<std::uint64_t>(number * block_bytes, bytes.size());
  return bytes.subspan(begin, std::min<std::uint64_t>(block_bytes, bytes.size() - begin));
}

std::string damage_text(std::uint64_t block, std::uint64_t blocks, ByteRange place) {
  const std::string which = blocks == 1 ? "" : fmt::format("block {} of {}: ", block + 1, blocks);
  if (place.bytes == 0) return which + "the stored digest is not that of no bytes";
  return fmt::format("{}bytes {} to {} of the file are not as they were saved: their XXH3-128 digest differs", which,
                     place.offset, place.offset + place.bytes - 1);
}

}  // namespace tenon::formats
