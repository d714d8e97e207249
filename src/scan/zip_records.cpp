// Source: PKWARE APPNOTE 6.3.10, sections 4.3 to 4.5.
#include "scan/zip_records.hpp"

#include <algorithm>
#include <tuple>
#include <utility>

#include "base/cursor.hpp"
#include "base/text.hpp"
#include "container/zip_reader.hpp"

namespace tenon::scanning {

namespace {

using base::as_text;
using base::Cursor;

constexpr std::string_view kLocal{"PK\3\4", 4}, kCentral{"PK\1\2", 4}, kDescriptor{"PK\7\10", 4}, kEnd{"PK\5\6", 4},
    kEnd64{"PK\6\6", 4}, kLocator64{"PK\6\7", 4};
constexpr std::uint64_t kEndBytes = 22, kEnd64Bytes = 56, kLocatorBytes = 20, kLongestComment = 65'535;
constexpr std::uint32_t kIn64 = 0xFFFFFFFF;
constexpr std::uint16_t kSizesFollow = 8, kEncrypted = 1, kMasked = 0x2000, kStrong = 0x40;

bool at_signature(std::span<const std::byte> bytes, std::uint64_t at, std::string_view signature) {
  return at <= bytes.size() && as_text(bytes.subspan(at)).starts_with(signature);
}

/// Reads the zip64 field: only the numbers whose 32-bit form is all ones stand in it, in this order.
void read_wide_numbers(std::span<const std::byte> extra, ZipHeader& header, std::uint64_t* offset) {
  Cursor in(extra, {});
  while (in.remaining() >= 4) {
    const std::uint16_t id = in.u16("id");
    const std::uint64_t length = in.u16("length");
    const auto field = in.bytes(std::min(length, in.remaining()), "field");
    if (id != 1) continue;
    Cursor numbers(field, {});
    const auto widen = [&](std::uint64_t& number) {
      if (number == kIn64 && numbers.remaining() >= 8) number = numbers.u64("number");
    };
    widen(header.unpacked_bytes);
    widen(header.packed_bytes);
    if (offset != nullptr) widen(*offset);
    return;
  }
}

class Reader {
 public:
  Reader(std::span<const std::byte> bytes, const Limits& limits) : bytes_(bytes), limits_(limits) {}

  /// Where the last archive of the bytes begins, when what stands in front of it ends as an archive does.
  ZipSlice last_slice() {
    find_end_records();
    ZipSlice slice;
    slice.end = bytes_.size();
    if (!end_) return slice;
    find_directory();
    slice.directory = directory_;
    slice.tail = tail_begin_;
    slice.stated_directory = directory_ - base_;
    slice.stated_tail = stated_tail_;
    const auto front = bytes_.first(base_);
    if (at_signature(bytes_, base_, kLocal) && container::begins_like_zip(front) && container::ends_like_zip(front))
      slice.begin = base_;
    return slice;
  }

  ZipRecords read() {
    find_end_records();
    if (end_) {
      const std::uint64_t count = find_directory();
      found_.has_directory = true;
      read_entries(count);
    }
    for (ZipRecord& record : found_.records) read_local(record);
    find_hidden_records();
    compare_records();
    return std::move(found_);
  }

 private:
  void problem(std::uint64_t at, std::string_view member, std::string what) {
    if (found_.problems.size() < limits_.scan_findings)
      found_.problems.push_back({at, std::string(member), std::move(what)});
  }

  // ---- the end

  void find_end_records() {
    if (bytes_.size() < kEndBytes) return;
    const std::uint64_t first = bytes_.size() - std::min<std::uint64_t>(bytes_.size(), kEndBytes + kLongestComment);
    const std::string_view text = as_text(bytes_);
    std::vector<std::uint64_t> places;  // from the front, where the search is that of memchr
    for (std::size_t at = text.find(kEnd, first); at <= text.size() - kEndBytes; at = text.find(kEnd, at + 1))
      places.push_back(at);
    std::uint64_t fitting = 0;
    for (; !places.empty(); places.pop_back()) {
      const std::uint64_t at = places.back();
      Cursor in(bytes_.subspan(at + kEndBytes - 2), {});
      const bool fits = in.u16("comment length") == in.remaining();
      fitting += fits ? 1 : 0;
      if (!end_) end_ = at;
      if (fits && !comment_fits_) {
        comment_fits_ = true;
        end_ = at;
      }
    }
    if (!end_) return problem(bytes_.size(), {}, "the archive has no end record: it is cut short");
    if (fitting > 1)
      problem(*end_, {}, "the archive has two end records that fit: readers disagree about which counts");
    if (!comment_fits_) problem(*end_ + kEndBytes, {}, "bytes follow the archive's end record");
  }

  // ---- the directory

  /// Returns how many entries the end records count.
  std::uint64_t find_directory() {
    Cursor in(bytes_.subspan(*end_), {});
    in.skip(10, "end record");
    std::uint64_t count = in.u16("entry count"), size = in.u32("directory size"), stated = in.u32("directory offset");
    tail_begin_ = *end_;
    if (*end_ >= kLocatorBytes && at_signature(bytes_, *end_ - kLocatorBytes, kLocator64)) {
      if (const auto wide = find_wide_end(*end_ - kLocatorBytes)) {
        Cursor numbers(bytes_.subspan(*wide + 32), {});
        const auto count64 = numbers.u64("count"), size64 = numbers.u64("size"), stated64 = numbers.u64("offset");
        compare_end("entry count", count, 0xFFFF, count64);
        compare_end("directory size", size, kIn64, size64);
        compare_end("directory offset", stated, kIn64, stated64);
        std::tie(count, size, stated) = std::tuple(count64, size64, stated64);
        tail_begin_ = *wide;
      }
    }
    if (size > tail_begin_) {
      problem(*end_, {}, "the directory is larger than what stands before its end record");
      size = 0;
    }
    directory_ = tail_begin_ - size;
    if (stated > directory_ || (size > 0 && !at_signature(bytes_, directory_, kCentral))) {
      problem(*end_, {}, "the end record points to no directory");
      if (stated < tail_begin_ && at_signature(bytes_, stated, kCentral)) directory_ = stated;
    } else {
      base_ = directory_ - stated;
    }
    return count;
  }

  /// Where a zip64 end record at `at` ends by its own words; nothing when none is there.
  std::optional<std::uint64_t> end_of_wide_end(std::uint64_t at) const {
    if (!at_signature(bytes_, at, kEnd64) || bytes_.size() - at < kEnd64Bytes) return std::nullopt;
    const std::uint64_t size = Cursor(bytes_.subspan(at + 4), {}).u64("size of the record");
    return size < kEnd64Bytes - 12 || size > bytes_.size() - at - 12 ? at + kEnd64Bytes : at + 12 + size;
  }

  /// The zip64 end record of a locator: the one that ends where the locator begins. The locator counts from the start
  /// of its own archive, so that behind another archive its number leads into that one.
  std::optional<std::uint64_t> find_wide_end(std::uint64_t locator) {
    stated_tail_ = Cursor(bytes_.subspan(locator + 8), {}).u64("zip64 end");
    const std::uint64_t named = *stated_tail_;
    const auto end_of_named = end_of_wide_end(named);
    std::optional<std::uint64_t> adjoining;
    if (locator >= kEnd64Bytes && end_of_wide_end(locator - kEnd64Bytes) == locator) adjoining = locator - kEnd64Bytes;
    if (end_of_named == locator) {
      if (adjoining && *adjoining != named)
        problem(locator, {}, "two zip64 end records end at the locator: readers disagree about which counts");
      return named;
    }
    if (adjoining) return adjoining;
    if (!end_of_named || named > locator) {
      problem(*end_, {}, "the zip64 locator points to no end record");
      return std::nullopt;
    }
    problem(named, {}, "the zip64 end record does not end at its locator");
    if (*end_of_named < locator) behind_wide_end_ = {*end_of_named, locator};
    return named;
  }

  void compare_end(std::string_view what, std::uint64_t narrow, std::uint64_t all_ones, std::uint64_t wide) {
    if (narrow != all_ones && narrow != wide)
      problem(*end_, {}, "the two end records state different numbers: " + std::string(what));
  }

  void read_entries(std::uint64_t count) {
    std::uint64_t at = directory_;
    while (at_signature(bytes_, at, kCentral) && at < tail_begin_ && bytes_.size() - at >= 46) {
      if (found_.records.size() >= limits_.zip_entries) {
        found_.problems.push_back({at, {}, "the archive has too many entries", true});
        return;
      }
      const auto next = read_entry(at);
      if (!next) break;
      at = *next;
    }
    if (found_.records.size() != count)
      problem(*end_, {},
              "the end record counts " + base::plural(count, "entry") + ", the directory has " +
                  base::count_text(found_.records.size()));
    if (at != tail_begin_) problem(at, {}, "bytes in the archive's directory belong to no entry");
  }

  std::optional<std::uint64_t> read_entry(std::uint64_t at) {
    Cursor in(bytes_.subspan(at), {});
    ZipRecord record;
    ZipHeader header;
    record.central_at = at;
    in.skip(4, "signature");
    record.made_by = in.u16("made by");
    in.skip(2, "needed");
    read_common(in, header);
    const std::uint16_t name_bytes = in.u16("name"), extra_bytes = in.u16("extra"), comment_bytes = in.u16("comment");
    in.skip(4, "disk, internal");
    record.external_attributes = in.u32("external attributes");
    record.local_at = in.u32("offset");
    if (in.remaining() < std::uint64_t{name_bytes} + extra_bytes + comment_bytes) {
      problem(at, {}, "a directory entry is cut short");
      return std::nullopt;
    }
    header.name = in.text(name_bytes, "name");
    read_wide_numbers(in.bytes(extra_bytes, "extra"), header, &record.local_at);
    in.skip(comment_bytes, "comment");
    record.local_at += base_;
    record.central = header;
    found_.records.push_back(record);
    return at + in.position();
  }

  static void read_common(Cursor& in, ZipHeader& header) {
    header.flags = in.u16("flags");
    header.method = in.u16("method");
    in.skip(4, "time");
    header.crc32 = in.u32("crc");
    header.packed_bytes = in.u32("packed size");
    header.unpacked_bytes = in.u32("size");
  }

  // ---- local headers

  void read_local(ZipRecord& record) {
    if (!at_signature(bytes_, record.local_at, kLocal) || bytes_.size() - record.local_at < 30)
      return problem(record.central_at, record.name(), "the directory points to no local header");
    Cursor in(bytes_.subspan(record.local_at), {});
    ZipHeader header;
    in.skip(6, "signature, needed");
    read_common(in, header);
    const std::uint16_t name_bytes = in.u16("name"), extra_bytes = in.u16("extra");
    if (in.remaining() < std::uint64_t{name_bytes} + extra_bytes)
      return problem(record.local_at, record.name(), "a local header is cut short");
    header.name = in.text(name_bytes, "name");
    read_wide_numbers(in.bytes(extra_bytes, "extra"), header, nullptr);
    record.local = header;
    record.data_at = record.local_at + in.position();
  }

  /// Where the record's bytes end, by the directory or else by the local header; its descriptor counts.
  std::uint64_t end_of(const ZipRecord& record) const {
    const std::uint64_t packed = record.central ? record.central->packed_bytes : record.local->packed_bytes;
    if (packed > bytes_.size() - record.data_at) return bytes_.size();
    std::uint64_t end = record.data_at + packed;
    const ZipHeader& flags = record.local ? *record.local : *record.central;
    if ((flags.flags & kSizesFollow) == 0) return end;
    const bool signed_descriptor = at_signature(bytes_, end, kDescriptor);
    const std::uint64_t narrow = signed_descriptor ? 16 : 12, wide = narrow + 8;
    for (const std::uint64_t length : {narrow, wide})
      if (end + length <= bytes_.size() &&
          (at_signature(bytes_, end + length, {"PK", 2}) || end + length == bytes_.size()))
        return end + length;
    return end;
  }

  /// Goes through the file from record to record; what lies between them is searched for headers.
  void find_hidden_records() {
    std::vector<std::pair<std::uint64_t, std::uint64_t>> ranges;
    std::vector<std::size_t> order;
    for (std::size_t i = 0; i < found_.records.size(); ++i)
      if (found_.records[i].local) order.push_back(i);
    std::sort(order.begin(), order.end(),
              [&](std::size_t a, std::size_t b) { return found_.records[a].local_at < found_.records[b].local_at; });
    std::uint64_t end = 0;
    for (const std::size_t i : order) {
      const ZipRecord record = found_.records[i];
      if (record.local_at < end) problem(record.local_at, record.name(), "two archive entries overlap");
      if (record.local_at > end) search_gap(end, record.local_at);
      const std::uint64_t until = end_of(record);
      if (found_.has_directory && until > directory_)
        problem(record.local_at, record.name(), "the entry reaches into the archive's directory");
      end = std::max(end, until);
    }
    const std::uint64_t last = found_.has_directory ? directory_ : bytes_.size();
    if (end < last) search_gap(end, last);
    if (behind_wide_end_) search_gap(behind_wide_end_->first, behind_wide_end_->second);
    if (end_ && !comment_fits_) {
      Cursor in(bytes_.subspan(*end_ + kEndBytes - 2), {});
      const std::uint64_t behind = *end_ + kEndBytes + in.u16("comment length");
      if (behind < bytes_.size()) found_.gaps.emplace_back(behind, bytes_.size());
    } else if (end_ && *end_ + kEndBytes < bytes_.size()) {
      found_.gaps.emplace_back(*end_ + kEndBytes, bytes_.size());  // the comment
    }
  }

  void search_gap(std::uint64_t begin, std::uint64_t end) {
    const std::string_view text = as_text(bytes_.first(end));
    std::uint64_t explained = begin;
    for (std::size_t at = text.find(kLocal, begin); at != std::string_view::npos; at = text.find(kLocal, explained)) {
      ZipRecord record;
      record.local_at = at;
      if (end - at < 30) break;
      const std::size_t known = found_.problems.size();
      read_local(record);
      if (!record.local) {
        found_.problems.resize(known);
        explained = std::max<std::uint64_t>(explained, at + 4);
        continue;
      }
      if (found_.has_directory) problem(at, record.local->name, "the archive's directory does not list this entry");
      settle_size(record, end);
      if (at > explained) found_.gaps.emplace_back(explained, at);
      explained = std::max(end_of(record), at + 4);
      found_.records.push_back(record);
      if (found_.records.size() >= limits_.zip_entries) return;
    }
    if (explained < end) found_.gaps.emplace_back(explained, end);
  }

  /// A header without sizes: up to its descriptor, the next record or the end of what is searched.
  void settle_size(ZipRecord& record, std::uint64_t end) {
    if ((record.local->flags & kSizesFollow) == 0 || record.local->packed_bytes != 0) return;
    const std::string_view text = as_text(bytes_.first(end));
    const std::size_t until_header = std::min(text.find(kLocal, record.data_at), static_cast<std::size_t>(end));
    const std::string_view own = text.substr(0, until_header);
    const std::size_t until =
        std::min({own.find(kDescriptor, record.data_at), own.find(kCentral, record.data_at), until_header});
    record.local->packed_bytes = until - record.data_at;
    if (record.local->method == container::kZipStored) record.local->unpacked_bytes = record.local->packed_bytes;
  }

  // ---- contradictions

  void compare_records() {
    for (const ZipRecord& record : found_.records) {
      if (record.central && record.local) compare(record, *record.central, *record.local);
      const ZipHeader& counts = record.central ? *record.central : *record.local;
      if (record.data_at > 0 && counts.packed_bytes > bytes_.size() - record.data_at)
        problem(record.local_at, record.name(), "the entry reaches past the end of the file");
      const bool is_closed = (counts.flags & kEncrypted) != 0;  // encryption has 12 bytes in front
      if (!is_closed && counts.method == container::kZipStored && counts.packed_bytes != counts.unpacked_bytes)
        problem(record.local_at, record.name(), "a stored entry has two sizes");
      const std::uint16_t flags = static_cast<std::uint16_t>((record.central ? record.central->flags : 0) |
                                                             (record.local ? record.local->flags : 0));
      if ((flags & (kEncrypted | kStrong | kMasked)) != 0)
        problem(record.central ? record.central_at : record.local_at, record.name(),
                "the entry is marked as encrypted, which some readers pass over");
    }
  }

  void compare(const ZipRecord& record, const ZipHeader& central, const ZipHeader& local) {
    const auto differ = [&](std::string_view what) {
      problem(record.local_at, record.name(), "local header and directory state different " + std::string(what));
    };
    if (central.name != local.name) differ("names: `" + std::string(local.name.substr(0, 60)) + "`");
    if (central.method != local.method) differ("methods of packing");
    if (((central.flags ^ local.flags) & (kEncrypted | kStrong | kMasked)) != 0) differ("flags");
    if ((local.flags & kSizesFollow) != 0 && local.crc32 == 0 && local.packed_bytes == 0 && local.unpacked_bytes == 0)
      return compare_descriptor(record, central);
    if (central.crc32 != local.crc32) differ("checksums");
    if (central.packed_bytes != local.packed_bytes || central.unpacked_bytes != local.unpacked_bytes) differ("sizes");
  }

  /// The descriptor behind the bytes, where it bears its signature.
  void compare_descriptor(const ZipRecord& record, const ZipHeader& central) {
    if (central.packed_bytes > bytes_.size() - record.data_at) return;
    const std::uint64_t at = record.data_at + central.packed_bytes;
    if (!at_signature(bytes_, at, kDescriptor) || bytes_.size() - at < 16) return;
    Cursor in(bytes_.subspan(at + 4), {});
    const std::uint32_t crc = in.u32("crc"), packed = in.u32("packed size");
    if (crc != central.crc32 || packed != static_cast<std::uint32_t>(central.packed_bytes))
      problem(at, record.name(), "the entry's data descriptor and the directory disagree");
  }

  std::span<const std::byte> bytes_;
  const Limits& limits_;
  ZipRecords found_;
  std::optional<std::uint64_t> end_;
  bool comment_fits_ = false;
  std::uint64_t base_ = 0, directory_ = 0, tail_begin_ = 0;
  std::optional<std::uint64_t> stated_tail_;  ///< what the zip64 locator says
  std::optional<std::pair<std::uint64_t, std::uint64_t>> behind_wide_end_;
};

}  // namespace

bool looks_like_zip(std::span<const std::byte> bytes) {
  return container::begins_like_zip(bytes) || container::ends_like_zip(bytes);
}

std::vector<ZipSlice> split_archives(std::span<const std::byte> bytes, const Limits& limits) {
  std::vector<ZipSlice> slices;
  for (std::uint64_t end = bytes.size();;) {
    slices.push_back(Reader(bytes.first(end), limits).last_slice());
    end = slices.back().begin;
    if (end == 0) break;
  }
  std::reverse(slices.begin(), slices.end());
  return slices;
}

std::optional<std::uint64_t> other_directory(std::span<const std::byte> bytes, const std::vector<ZipSlice>& slices) {
  const ZipSlice& first = slices.front();
  for (std::size_t i = 1; i < slices.size(); ++i) {
    const ZipSlice& slice = slices[i];
    if (slice.stated_directory != first.directory && at_signature(bytes, slice.stated_directory, kCentral))
      return slice.stated_directory;
    if (slice.stated_tail && *slice.stated_tail != first.tail && at_signature(bytes, *slice.stated_tail, kEnd64))
      return *slice.stated_tail;
  }
  return std::nullopt;
}

ZipRecords read_zip_records(std::span<const std::byte> bytes, const Limits& limits) {
  return Reader(bytes, limits).read();
}

}  // namespace tenon::scanning
