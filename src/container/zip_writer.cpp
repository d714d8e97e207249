#include "container/zip_writer.hpp"

#include <utility>

#include <tenon/error.hpp>

#include "base/cursor.hpp"
#include "base/digest.hpp"

namespace tenon::container {

namespace {

constexpr std::uint32_t kLocalHeader = 0x04034b50, kDescriptor = 0x08074b50, kCentral = 0x02014b50;
constexpr std::uint32_t kEnd = 0x06054b50, kEnd64 = 0x06064b50, kLocator64 = 0x07064b50;
constexpr std::uint64_t kFull32 = 0xFFFFFFFF, kFull16 = 0xFFFF;
constexpr std::uint64_t kAlignment = 64;
constexpr std::uint16_t kFlags = 0x0808;  // sizes follow the payload; names are UTF-8
constexpr std::uint64_t kLocalBytes = 30, kCentralBytes = 46, kZip64ExtraBytes = 20;

class Record {
 public:
  Record& u16(std::uint64_t number) { return put(number, 2); }
  Record& u32(std::uint64_t number) { return put(number, 4); }
  Record& u64(std::uint64_t number) { return put(number, 8); }
  Record& text(std::string_view text) {
    bytes_ += text;
    return *this;
  }
  const std::string& bytes() const { return bytes_; }

 private:
  Record& put(std::uint64_t number, int width) {
    for (int i = 0; i < width; ++i) bytes_ += static_cast<char>(static_cast<unsigned char>(number >> (8 * i)));
    return *this;
  }
  std::string bytes_;
};

bool is_large(std::uint64_t nbytes) { return nbytes >= kFull32; }

std::uint64_t version_needed(std::uint64_t nbytes) { return is_large(nbytes) ? 45 : 20; }

/// Bytes of padding that the extra field of an entry at `offset` needs.
std::uint64_t padding(std::uint64_t offset, std::uint64_t name_bytes, std::uint64_t nbytes) {
  const std::uint64_t start = offset + kLocalBytes + name_bytes + (is_large(nbytes) ? kZip64ExtraBytes : 0) + 4;
  return (kAlignment - start % kAlignment) % kAlignment;
}

std::string local_header(const std::string& name, std::uint64_t nbytes, std::uint64_t offset) {
  const std::uint64_t pad = padding(offset, name.size(), nbytes);
  const std::uint64_t extra_bytes = (is_large(nbytes) ? kZip64ExtraBytes : 0) + 4 + pad;
  const std::uint64_t size = is_large(nbytes) ? kFull32 : 0;
  Record r;
  r.u32(kLocalHeader).u16(version_needed(nbytes)).u16(kFlags).u16(0).u16(0).u16(0);
  r.u32(0).u32(size).u32(size).u16(name.size()).u16(extra_bytes).text(name);
  if (is_large(nbytes)) r.u16(1).u16(16).u64(0).u64(0);
  r.text("FB").u16(pad).text(std::string(pad, 'Z'));
  return r.bytes();
}

std::string descriptor(std::uint32_t crc, std::uint64_t nbytes) {
  Record r;
  r.u32(kDescriptor).u32(crc);
  if (is_large(nbytes))
    r.u64(nbytes).u64(nbytes);
  else
    r.u32(nbytes).u32(nbytes);
  return r.bytes();
}

std::uint64_t descriptor_bytes(std::uint64_t nbytes) { return is_large(nbytes) ? 24 : 16; }

std::uint64_t central_extra_bytes(std::uint64_t nbytes, std::uint64_t offset) {
  const std::uint64_t fields = (is_large(nbytes) ? 16U : 0U) + (offset >= kFull32 ? 8U : 0U);
  return fields == 0 ? 0 : 4 + fields;
}

std::string central_header(const std::string& name, std::uint64_t nbytes, std::uint64_t offset, std::uint32_t crc) {
  const std::uint64_t size = is_large(nbytes) ? kFull32 : nbytes;
  const std::uint64_t extra_bytes = central_extra_bytes(nbytes, offset);
  const std::uint64_t version = extra_bytes > 0 ? 45 : 20;
  Record r;
  r.u32(kCentral).u16(version).u16(version).u16(kFlags).u16(0).u16(0).u16(0);
  r.u32(crc).u32(size).u32(size).u16(name.size()).u16(extra_bytes).u16(0).u16(0).u16(0).u32(0);
  r.u32(offset >= kFull32 ? kFull32 : offset).text(name);
  if (extra_bytes > 0) {
    r.u16(1).u16(extra_bytes - 4);
    if (is_large(nbytes)) r.u64(nbytes).u64(nbytes);
    if (offset >= kFull32) r.u64(offset);
  }
  return r.bytes();
}

bool needs_zip64(std::uint64_t count, std::uint64_t directory_bytes, std::uint64_t directory_offset) {
  return count >= kFull16 || directory_bytes >= kFull32 || directory_offset >= kFull32;
}

std::string end_records(std::uint64_t count, std::uint64_t directory_bytes, std::uint64_t directory_offset,
                        const std::string& comment) {
  Record r;
  const bool zip64 = needs_zip64(count, directory_bytes, directory_offset);
  if (zip64) {
    r.u32(kEnd64)
        .u64(44)
        .u16(45)
        .u16(45)
        .u32(0)
        .u32(0)
        .u64(count)
        .u64(count)
        .u64(directory_bytes)
        .u64(directory_offset);
    r.u32(kLocator64).u32(0).u64(directory_offset + directory_bytes).u32(1);
  }
  const auto shown = [&](std::uint64_t number, std::uint64_t full) { return zip64 ? full : number; };
  r.u32(kEnd).u16(0).u16(0).u16(shown(count, kFull16)).u16(shown(count, kFull16));
  r.u32(shown(directory_bytes, kFull32)).u32(shown(directory_offset, kFull32)).u16(comment.size()).text(comment);
  return r.bytes();
}

}  // namespace

void ZipWriter::add(std::string name, std::uint64_t nbytes, std::function<void(const base::Sink&)> write) {
  TENON_ASSERT(name.size() < kFull16);
  const std::uint64_t offset = end_;
  const std::uint64_t content = offset + local_header(name, nbytes, offset).size();
  end_ = content + nbytes + descriptor_bytes(nbytes);
  entries_.push_back({std::move(name), nbytes, offset, content, std::move(write)});
}

void ZipWriter::add_later(std::string name, std::uint64_t nbytes) {
  add(std::move(name), nbytes, [nbytes](const base::Sink& sink) {
    const std::vector<std::byte> zeros(nbytes);
    sink(zeros);
  });
  entries_.back().is_later = true;
}

std::vector<ZipWriter::Place> ZipWriter::places() const {
  constexpr std::uint64_t kCrcInDescriptor = 4, kCrcInDirectory = 16;
  std::vector<Place> places;
  places.reserve(entries_.size());
  std::uint64_t header = end_;
  for (const Entry& entry : entries_) {
    places.push_back(
        {entry.content, entry.nbytes, entry.content + entry.nbytes + kCrcInDescriptor, header + kCrcInDirectory});
    header += kCentralBytes + entry.name.size() + central_extra_bytes(entry.nbytes, entry.offset);
  }
  return places;
}

void ZipWriter::add(std::string name, std::string content) {
  const std::uint64_t nbytes = content.size();
  add(std::move(name), nbytes,
      [content = std::move(content)](const base::Sink& sink) { sink(base::as_bytes(content)); });
}

std::uint64_t ZipWriter::file_bytes() const {
  std::uint64_t directory_bytes = 0;
  for (const Entry& entry : entries_)
    directory_bytes += kCentralBytes + entry.name.size() + central_extra_bytes(entry.nbytes, entry.offset);
  return end_ + directory_bytes + end_records(entries_.size(), directory_bytes, end_, comment_).size();
}

void ZipWriter::write(const base::Sink& sink) const {
  std::string directory;
  for (const Entry& entry : entries_) {
    sink(base::as_bytes(local_header(entry.name, entry.nbytes, entry.offset)));
    std::uint32_t crc = 0;
    std::uint64_t written = 0;
    entry.write([&](std::span<const std::byte> bytes) {
      crc = base::crc32(bytes, crc);
      written += bytes.size();
      sink(bytes);
    });
    TENON_ASSERT(written == entry.nbytes);
    if (entry.is_later) crc = 0;
    sink(base::as_bytes(descriptor(crc, entry.nbytes)));
    directory += central_header(entry.name, entry.nbytes, entry.offset, crc);
  }
  sink(base::as_bytes(directory));
  sink(base::as_bytes(end_records(entries_.size(), directory.size(), end_, comment_)));
}

}  // namespace tenon::container
