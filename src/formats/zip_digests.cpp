#include "formats/zip_digests.hpp"

#include <algorithm>
#include <string>
#include <utility>

#include <tenon/error.hpp>

#include "base/cursor.hpp"

namespace tenon::formats {

namespace {

using container::ZipEntry;
using container::ZipReader;

constexpr std::uint64_t kCrcInDescriptor = 4, kCrcInDirectory = 16;

std::uint64_t content_offset(std::span<const std::byte> archive, const ZipReader& zip, const ZipEntry& entry) {
  return container::zip_data_offset(archive, entry.header_offset, entry.packed_bytes, entry.name, zip.where(entry));
}

void add_data(std::span<const std::byte> archive, const ZipReader& zip, const std::vector<const ZipEntry*>& records,
              DigestPlaces& places) {
  for (const ZipEntry* entry : records)
    places.data.push_back({content_offset(archive, zip, *entry), entry->packed_bytes});
}

std::vector<const ZipEntry*> in_file_order(std::vector<const ZipEntry*> records) {
  std::sort(records.begin(), records.end(),
            [](const ZipEntry* a, const ZipEntry* b) { return a->header_offset < b->header_offset; });
  return records;
}

/// The directory is read again, so that opening need not keep it.
ZipReader reopen(const io::MappedFile& file) {
  return ZipReader(file.bytes(), file.path(), Limits{}, container::ZipDamage::Refuse);
}

DigestPlaces record_places(const io::MappedFile& file, const std::string& root) {
  const ZipReader zip = reopen(file);
  const ZipEntry* record = zip.find(root + std::string(kDigestsKey));
  TENON_ASSERT(record != nullptr);
  DigestPlaces places;
  add_data(file.bytes(), zip, data_records(zip, root), places);
  places.text = {content_offset(file.bytes(), zip, *record), record->packed_bytes};
  places.checksums = {places.text.offset + places.text.bytes + kCrcInDescriptor,
                      record->directory_offset + kCrcInDirectory};
  return places;
}

DigestPlaces comment_places(const io::MappedFile& file, ByteRange text) {
  const ZipReader zip = reopen(file);
  std::vector<const ZipEntry*> records;
  for (const ZipEntry& entry : zip.entries()) records.push_back(&entry);
  DigestPlaces places{.block_bytes = kNoBlocks, .data = {}, .text = text, .checksums = {}};
  add_data(file.bytes(), zip, in_file_order(std::move(records)), places);
  return places;
}

}  // namespace

std::vector<const ZipEntry*> data_records(const ZipReader& zip, std::string_view root) {
  const std::string folder = std::string(root) + "data/";
  std::vector<const ZipEntry*> records;
  for (const ZipEntry& entry : zip.entries())
    if (entry.name.starts_with(folder)) records.push_back(&entry);
  return in_file_order(std::move(records));
}

std::shared_ptr<const FileDigests> zip_record_digests(const std::shared_ptr<const io::MappedFile>& file,
                                                      const ZipReader& zip, std::string_view root) {
  const ZipEntry* record = zip.find(std::string(root) + std::string(kDigestsKey));
  if (record == nullptr || record->method != container::kZipStored) return nullptr;
  std::string text;
  try {
    // Not through read(), whose CRC-32 would refuse the whole file: damaged digests are a warning.
    text = base::as_text(file->bytes().subspan(content_offset(file->bytes(), zip, *record), record->packed_bytes));
  } catch (const Error& error) {
    if (error.code != Code::Corrupt) throw;  // then the text is empty, which is told as such
  }
  std::vector<std::uint64_t> row_bytes;
  for (const ZipEntry* entry : data_records(zip, root)) row_bytes.push_back(entry->packed_bytes);
  return std::make_shared<FileDigests>(file, std::move(text), kDigestBlockBytes, row_bytes,
                                       [file, root = std::string(root)] { return record_places(*file, root); });
}

std::shared_ptr<const FileDigests> zip_comment_digests(const std::shared_ptr<const io::MappedFile>& file,
                                                       const ZipReader& zip) {
  const auto comment = base::as_text(file->bytes().subspan(zip.comment_offset()));
  const std::size_t head_bytes = kDigestsKey.size() + 1;
  if (comment.size() < head_bytes) return nullptr;
  const std::string text(comment.substr(head_bytes));
  if (!comment.starts_with(kDigestsKey) && !looks_like_digests(text)) return nullptr;
  const ByteRange place{zip.comment_offset() + head_bytes, text.size()};
  return std::make_shared<FileDigests>(file, text, kNoBlocks, std::span<const std::uint64_t>{},
                                       [file, place] { return comment_places(*file, place); });
}

}  // namespace tenon::formats
