#include "save/digested_write.hpp"

#include <array>

#include <tenon/error.hpp>

#include "base/cursor.hpp"
#include "base/digest.hpp"

namespace tenon::saving {

namespace {

std::array<std::byte, 4> little_endian(std::uint32_t number) {
  std::array<std::byte, 4> bytes{};
  for (std::size_t i = 0; i < bytes.size(); ++i) bytes[i] = static_cast<std::byte>(number >> (8 * i));
  return bytes;
}

}  // namespace

std::string write_digested(const formats::Layout& layout, io::AtomicFile& file, const formats::Sink& written) {
  if (!layout.digests) {
    layout.write([&](std::span<const std::byte> bytes) {
      file.write(bytes);
      written(bytes);
    });
    return {};
  }
  formats::DigestSink digests(*layout.digests);
  layout.write([&](std::span<const std::byte> bytes) {
    digests.update(bytes);
    file.write(bytes);
    written(bytes);
  });
  const std::string text = digests.text();
  file.rewrite(layout.digests->text.offset, base::as_bytes(text));
  const auto checksum = little_endian(base::crc32(base::as_bytes(text)));
  for (const std::uint64_t offset : layout.digests->checksums) file.rewrite(offset, checksum);
  return std::string(formats::file_digest(text));
}

}  // namespace tenon::saving
