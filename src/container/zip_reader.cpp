#include "container/zip_reader.hpp"

#include <algorithm>
#include <bit>
#include <functional>
#include <numeric>
#include <optional>
#include <utility>

#include "base/checked.hpp"
#include "base/cursor.hpp"
#include "base/digest.hpp"
#include "base/limit_error.hpp"
#include "base/text.hpp"
#include "container/inflate.hpp"

namespace tenon::container {

namespace {

using base::as_text;
using base::Cursor;

constexpr std::string_view kLocalSignature{"PK\3\4", 4};
constexpr std::string_view kCentralSignature{"PK\1\2", 4};
constexpr std::string_view kDescriptorSignature{"PK\7\10", 4};
constexpr std::string_view kEndSignature{"PK\5\6", 4};
constexpr std::string_view kEnd64Signature{"PK\6\6", 4};
constexpr std::string_view kLocator64Signature{"PK\6\7", 4};
constexpr std::uint64_t kLocalHeaderBytes = 30;
constexpr std::uint64_t kCentralHeaderBytes = 46;
constexpr std::uint64_t kEndBytes = 22;
constexpr std::uint64_t kLocator64Bytes = 20;
constexpr std::uint64_t kLongestComment = 65'535;
constexpr std::uint32_t kIn64 = 0xFFFFFFFF;  ///< the true number stands in the zip64 field
constexpr std::string_view kFetchAgain = "the file is cut short or damaged: fetch or save it again";

/// Reads the zip64 extra field: only the numbers whose 32-bit form is all ones stand in it, in this order.
void read_zip64(std::span<const std::byte> extra, ZipEntry& entry, const Cursor& place) {
  constexpr std::uint16_t kZip64Id = 1;
  Cursor in(extra, place.file(), std::string(entry.name));
  while (in.remaining() >= 4) {
    const std::uint16_t id = in.u16("extra field");
    const auto field = in.bytes(in.u16("extra field length"), "extra field");
    if (id != kZip64Id) continue;
    Cursor numbers(field, place.file(), std::string(entry.name));
    if (entry.unpacked_bytes == kIn64) entry.unpacked_bytes = numbers.u64("zip64 size");
    if (entry.packed_bytes == kIn64) entry.packed_bytes = numbers.u64("zip64 packed size");
    if (entry.header_offset == kIn64) entry.header_offset = numbers.u64("zip64 offset");
    return;
  }
}

bool matches_at(std::span<const std::byte> bytes, std::uint64_t at, std::string_view signature) {
  return at <= bytes.size() && as_text(bytes.subspan(at)).starts_with(signature);
}

/// Offset of the last end record whose comment fits behind it.
std::optional<std::uint64_t> find_end(std::span<const std::byte> bytes) {
  if (bytes.size() < kEndBytes) return std::nullopt;
  const std::uint64_t first = bytes.size() - std::min<std::uint64_t>(bytes.size(), kEndBytes + kLongestComment);
  for (std::uint64_t at = bytes.size() - kEndBytes + 1; at-- > first;)
    if (matches_at(bytes, at, kEndSignature)) return at;
  return std::nullopt;
}

/// Where a record without sizes ends: at a data descriptor that repeats the distance from `start`. Packed and unpacked
/// size are equal for stored entries; the packed one is what the distance proves.
struct Descriptor {
  std::uint64_t packed_bytes, unpacked_bytes, end;
  std::uint32_t crc32;
};
std::optional<Descriptor> find_descriptor(std::span<const std::byte> bytes, std::uint64_t start,
                                          const std::string& file) {
  const std::string_view text = as_text(bytes);
  for (std::size_t at = text.find(kDescriptorSignature, start); at != std::string_view::npos;
       at = text.find(kDescriptorSignature, at + 1)) {
    const std::uint64_t distance = at - start;
    Cursor in(bytes.subspan(at + 4), file);
    if (in.remaining() < 12) return std::nullopt;
    const std::uint32_t crc32 = in.u32("crc");
    const std::uint32_t packed = in.u32("packed size"), unpacked = in.u32("size");
    const auto follows = [&](std::uint64_t end) { return end == bytes.size() || matches_at(bytes, end, {"PK", 2}); };
    if (in.remaining() >= 8) {
      const std::uint64_t unpacked64 = in.u64("size");
      const std::uint64_t packed64 = (std::uint64_t{unpacked} << 32) | packed;
      if (packed64 == distance && follows(at + 24)) return Descriptor{packed64, unpacked64, at + 24, crc32};
    }
    if (packed == distance && follows(at + 16)) return Descriptor{packed, unpacked, at + 16, crc32};
  }
  return std::nullopt;
}

}  // namespace

/// Where the central directory is and what the end record says of it.
struct ZipReader::Directory {
  std::uint64_t offset = 0, bytes = 0, entry_count = 0;
  std::uint64_t base = 0;  ///< bytes in front of the archive, by which all stated offsets are off
  std::uint64_t comment_offset = 0, comment_bytes = 0;
  std::vector<std::string> warnings;
};

bool begins_like_zip(std::span<const std::byte> bytes) {
  return matches_at(bytes, 0, kLocalSignature) || matches_at(bytes, 0, kEndSignature);
}

bool ends_like_zip(std::span<const std::byte> bytes) {
  const auto end = find_end(bytes);
  if (!end) return false;
  Cursor in(bytes.subspan(*end + kEndBytes - 2), {});
  return in.u16("comment length") == in.remaining();
}

std::uint64_t zip_data_offset(std::span<const std::byte> archive, std::uint64_t header_offset,
                              std::uint64_t packed_bytes, std::string_view name, const Where& where) {
  if (archive.size() < kLocalHeaderBytes || header_offset > archive.size() - kLocalHeaderBytes ||
      !matches_at(archive, header_offset, kLocalSignature))
    throw Error(Code::Corrupt, where, "the directory points to no local header",
                "PK 03 04 at byte " + std::to_string(header_offset), {}, std::string(kFetchAgain));
  Cursor in(archive.subspan(header_offset), where.file, where.member, header_offset);
  in.skip(26, "local header");
  const std::uint16_t name_bytes = in.u16("name length");
  const std::uint16_t extra_bytes = in.u16("extra length");
  if (in.text(name_bytes, "entry name") != name)
    throw Error(Code::Corrupt, where, "local header and directory name different entries", std::string(name), {},
                std::string(kFetchAgain));
  in.skip(extra_bytes, "extra field");
  if (in.remaining() < packed_bytes)
    throw Error(Code::Corrupt, where, "the entry reaches past the end of the file", base::plural(packed_bytes, "byte"),
                base::plural(in.remaining(), "byte"), std::string(kFetchAgain));
  return header_offset + in.position();
}

ZipReader::ZipReader(std::span<const std::byte> bytes, std::string file, const Limits& limits, ZipDamage damage)
    : bytes_(bytes), file_(std::move(file)), limits_(limits), damage_(damage), comment_offset_(bytes.size()) {
  if (damage_ == ZipDamage::Salvage && !find_end(bytes_)) {
    search_local_headers();
  } else {
    Directory directory = find_directory();
    warnings_ = std::move(directory.warnings);
    comment_offset_ = directory.comment_offset;
    comment_bytes_ = directory.comment_bytes;
    read_directory(directory);
    check_order(directory.offset);
  }
  index_names();
  has_checksums_ =
      std::any_of(entries_.begin(), entries_.end(), [](const ZipEntry& e) { return e.crc32 != 0; }) ||
      std::none_of(entries_.begin(), entries_.end(), [](const ZipEntry& e) { return e.unpacked_bytes != 0; });
}

Where ZipReader::where(const ZipEntry& entry) const { return {file_, std::string(entry.name), {}, {}}; }

void ZipReader::complain(Error error) {
  if (damage_ == ZipDamage::Refuse) throw error;
  warnings_.push_back(error.what_happened + (error.where.member.empty() ? "" : ": " + error.where.member));
}

ZipReader::Directory ZipReader::find_directory() const {
  const auto end = find_end(bytes_);
  if (!end)
    throw Error(Code::Corrupt, {file_, {}, {}, bytes_.size()},
                "the archive has no end record: its table of contents, which stands at the end, is missing",
                "PK 05 06 within the last 64 kB", "none in " + base::plural(bytes_.size(), "byte"),
                "the file was cut short while it was written or fetched: fetch or save it again, or read what is whole "
                "with --salvage");
  Cursor in(bytes_.subspan(*end), file_, {}, *end);
  in.skip(4, "end record");
  const std::uint16_t disk = in.u16("disk"), directory_disk = in.u16("disk of the directory");
  in.skip(2, "entries on this disk");
  Directory found;
  found.entry_count = in.u16("entry count");
  found.bytes = in.u32("directory size");
  std::uint64_t stated = in.u32("directory offset");
  const std::uint16_t comment_bytes = in.u16("comment length");
  found.comment_offset = *end + kEndBytes;
  found.comment_bytes = comment_bytes;
  if (in.remaining() != comment_bytes)
    found.warnings.push_back("the archive's end record says " + base::plural(comment_bytes, "byte") +
                             " follow it, but " + base::plural(in.remaining(), "byte") + " do");
  std::uint64_t directory_end = *end;
  if (*end >= kLocator64Bytes && matches_at(bytes_, *end - kLocator64Bytes, kLocator64Signature)) {
    Cursor locator(bytes_.subspan(*end - kLocator64Bytes), file_, {}, *end - kLocator64Bytes);
    locator.skip(8, "zip64 locator");
    const std::uint64_t end64 = locator.u64("zip64 end offset");
    if (end64 > *end || !matches_at(bytes_, end64, kEnd64Signature))
      throw locator.error(Code::Corrupt, "the zip64 locator points to no end record",
                          "PK 06 06 at byte " + std::to_string(end64), {}, std::string(kFetchAgain));
    Cursor wide(bytes_.subspan(end64), file_, {}, end64);
    wide.skip(32, "zip64 end record");
    found.entry_count = wide.u64("entry count");
    found.bytes = wide.u64("directory size");
    stated = wide.u64("directory offset");
    directory_end = end64;
  } else if (disk != directory_disk || (disk != 0 && disk != 0xFFFF)) {
    throw in.error(Code::Unsupported, "this is one part of an archive split over several files", {}, {},
                   "join the parts first");
  }
  if (found.bytes > directory_end)
    throw Error(Code::Corrupt, {file_, {}, {}, *end},
                "the archive's directory is larger than what stands before its end record",
                "at most " + base::plural(directory_end, "byte"), base::plural(found.bytes, "byte"),
                std::string(kFetchAgain));
  found.offset = directory_end - found.bytes;
  if (stated > found.offset || (found.bytes > 0 && !matches_at(bytes_, found.offset, kCentralSignature)))
    throw Error(Code::Corrupt, {file_, {}, {}, *end}, "the end record points to no directory",
                "the directory at byte " + std::to_string(stated), "none there", std::string(kFetchAgain));
  found.base = found.offset - stated;
  if (found.base > 0)
    found.warnings.push_back(base::plural(found.base, "byte") +
                             " that belong to no entry stand in front of the archive");
  return found;
}

void ZipReader::read_directory(const Directory& directory) {
  const auto bytes = bytes_.subspan(directory.offset, directory.bytes);
  const std::uint64_t most = bytes.size() / kCentralHeaderBytes;
  if (directory.entry_count > limits_.zip_entries)
    throw base::limit_error({file_, {}, {}, directory.offset}, "the archive has too many entries",
                            {&Limits::zip_entries, limits_}, base::count_text(directory.entry_count));
  if (directory.entry_count > most)
    throw Error(Code::Corrupt, {file_, {}, {}, directory.offset}, "the directory is too short for its entries",
                base::plural(directory.entry_count, "entry header"), "room for " + base::count_text(most),
                std::string(kFetchAgain));
  entries_.reserve(directory.entry_count);
  Cursor in(bytes, file_, {}, directory.offset);
  for (std::uint64_t i = 0; i < directory.entry_count; ++i) {
    const std::uint64_t at = in.position();
    if (in.text(4, "directory entry") != kCentralSignature)
      throw in.error_at(at, Code::Corrupt, "a directory entry is damaged", "PK 01 02", {}, std::string(kFetchAgain));
    ZipEntry entry;
    entry.directory_offset = directory.offset + at;
    in.skip(4, "versions");
    entry.flags = in.u16("flags");
    entry.method = in.u16("method");
    in.skip(4, "time");
    entry.crc32 = in.u32("crc");
    entry.packed_bytes = in.u32("packed size");
    entry.unpacked_bytes = in.u32("size");
    const std::uint16_t name_bytes = in.u16("name length"), extra_bytes = in.u16("extra length");
    const std::uint16_t comment_bytes = in.u16("comment length");
    in.skip(8, "attributes");
    entry.header_offset = in.u32("header offset");
    if (name_bytes > limits_.zip_name_bytes)
      throw base::limit_error(in.where(at), "an entry's name is too long", {&Limits::zip_name_bytes, limits_},
                              base::plural(name_bytes, "byte"));
    entry.name = in.text(name_bytes, "entry name");
    read_zip64(in.bytes(extra_bytes, "extra field"), entry, in);
    in.skip(comment_bytes, "entry comment");
    entry.header_offset += directory.base;
    const auto end = base::checked_add(entry.packed_bytes, kLocalHeaderBytes + name_bytes);
    if (entry.header_offset > directory.offset || !end || *end > directory.offset - entry.header_offset) {
      complain(Error(Code::Corrupt, where(entry), "the entry reaches past the place where the directory begins",
                     "at most byte " + std::to_string(directory.offset),
                     base::plural(entry.packed_bytes, "byte") + " from byte " + std::to_string(entry.header_offset),
                     std::string(kFetchAgain)));
      continue;
    }
    if (entry.method == kZipStored && entry.packed_bytes != entry.unpacked_bytes)
      complain(Error(Code::Corrupt, where(entry), "a stored entry has two sizes",
                     base::plural(entry.packed_bytes, "byte"), base::plural(entry.unpacked_bytes, "byte"),
                     std::string(kFetchAgain)));
    entries_.push_back(entry);
  }
  unlisted_bytes_ = in.remaining();
  if (!in.at_end())
    warnings_.push_back(base::plural(in.remaining(), "byte") + " in the archive's directory belong to no entry");
}

void ZipReader::check_order(std::uint64_t directory_offset) {
  std::vector<std::uint32_t> order(entries_.size());
  std::iota(order.begin(), order.end(), 0U);
  const auto before = [&](std::uint32_t a, std::uint32_t b) {
    return entries_[a].header_offset < entries_[b].header_offset;
  };
  if (!std::is_sorted(order.begin(), order.end(), before)) std::sort(order.begin(), order.end(), before);
  std::uint64_t end = 0;
  for (const std::uint32_t i : order) {
    const ZipEntry& entry = entries_[i];
    if (i == order.front() && entry.header_offset > 0)
      warnings_.push_back("the archive's first entry begins at byte " + std::to_string(entry.header_offset));
    if (entry.header_offset < end)
      complain(Error(Code::Corrupt, where(entry), "two archive entries overlap",
                     "a header at byte " + std::to_string(end) + " or later",
                     "byte " + std::to_string(entry.header_offset),
                     "the archive is damaged or forged: get it from its source again"));
    end = entry.header_offset + kLocalHeaderBytes + entry.name.size() + entry.packed_bytes;
  }
  TENON_ASSERT(end <= directory_offset);
}

void ZipReader::search_local_headers() {
  warnings_.push_back("the archive has no directory: its entries were searched for one by one");
  std::uint64_t at = 0;
  while (matches_at(bytes_, at, kLocalSignature) && bytes_.size() - at >= kLocalHeaderBytes &&
         entries_.size() < limits_.zip_entries) {
    ZipEntry entry;
    entry.header_offset = at;
    Cursor in(bytes_.subspan(at), file_, {}, at);
    in.skip(6, "local header");
    entry.flags = in.u16("flags");
    entry.method = in.u16("method");
    in.skip(4, "time");
    entry.crc32 = in.u32("crc");
    entry.packed_bytes = in.u32("packed size");
    entry.unpacked_bytes = in.u32("size");
    const std::uint16_t name_bytes = in.u16("name length"), extra_bytes = in.u16("extra length");
    if (in.remaining() < std::uint64_t{name_bytes} + extra_bytes) return;
    entry.name = in.text(name_bytes, "entry name");
    in.skip(extra_bytes, "extra field");
    const std::uint64_t start = at + in.position();
    const bool sizes_follow = (entry.flags & 8) != 0 && entry.packed_bytes == 0;
    if (sizes_follow) {
      const auto descriptor = find_descriptor(bytes_, start, file_);
      if (!descriptor) return;  // the entry in which the file was cut
      entry.packed_bytes = descriptor->packed_bytes;
      entry.unpacked_bytes = descriptor->unpacked_bytes;
      entry.crc32 = descriptor->crc32;
      at = descriptor->end;
    } else {
      if (entry.packed_bytes > bytes_.size() - start) return;
      at = start + entry.packed_bytes;
    }
    entries_.push_back(entry);
  }
}

void ZipReader::index_names() {
  slots_.assign(std::bit_ceil(entries_.size() * 2 + 1), 0);
  const std::size_t mask = slots_.size() - 1;
  for (std::size_t i = 0; i < entries_.size(); ++i) {
    std::size_t slot = std::hash<std::string_view>{}(entries_[i].name) & mask;
    while (slots_[slot] != 0 && entries_[slots_[slot] - 1].name != entries_[i].name) slot = (slot + 1) & mask;
    if (slots_[slot] != 0)
      complain(Error(Code::Corrupt, where(entries_[i]),
                     "two archive entries have one name: programs disagree about which one counts", {}, {},
                     "unpack it and pack it again with the right one"));
    else
      slots_[slot] = static_cast<std::uint32_t>(i + 1);
  }
}

const ZipEntry* ZipReader::find(std::string_view name) const {
  const std::size_t mask = slots_.size() - 1;
  for (std::size_t slot = std::hash<std::string_view>{}(name)&mask; slots_[slot] != 0; slot = (slot + 1) & mask) {
    const ZipEntry& entry = entries_[slots_[slot] - 1];
    if (entry.name == name) return &entry;
  }
  return nullptr;
}

std::span<const std::byte> ZipReader::read(const ZipEntry& entry, std::vector<std::byte>& unpacked) const {
  const Where place = where(entry);
  if (entry.is_encrypted())
    throw Error(Code::Unsupported, place, "the archive entry is encrypted", {}, {},
                "unpack it with its password first");
  if (entry.unpacked_bytes > limits_.inflated_record_bytes)
    throw base::limit_error(place, "the archive entry is too large", {&Limits::inflated_record_bytes, limits_},
                            base::bytes_text(entry.unpacked_bytes));
  const std::uint64_t offset = zip_data_offset(bytes_, entry.header_offset, entry.packed_bytes, entry.name, place);
  std::span<const std::byte> content = bytes_.subspan(offset, entry.packed_bytes);
  if (entry.method == kZipDeflated) {
    unpacked = inflate(content, entry.unpacked_bytes, place, limits_);
    content = unpacked;
  } else if (entry.method != kZipStored) {
    throw Error(Code::Unsupported, place, "the archive entry is packed by an unknown method",
                "0 (stored) or 8 (deflated)", std::to_string(entry.method), "unpack it and pack it again with zip -0");
  }
  if (has_checksums_ && damage_ == ZipDamage::Refuse && base::crc32(content) != entry.crc32)
    throw Error(Code::Corrupt, place, "the checksum of the archive entry is wrong", base::hex(entry.crc32),
                base::hex(base::crc32(content)), "the file is damaged: fetch or save it again");
  return content;
}

}  // namespace tenon::container
