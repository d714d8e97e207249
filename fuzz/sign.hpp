// Checksums of changed bytes are computed anew, so that readers look at the change and do not end at the checksum.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/cursor.hpp"
#include "base/digest.hpp"

namespace tenon::fuzz {

/// `width` bytes at `at`; 0 beyond the end.
inline std::uint64_t number_at(std::string_view file, std::uint64_t at, std::size_t width) {
  std::uint64_t value = 0;
  for (std::size_t i = 0; i < width && at + i < file.size(); ++i)
    value |= std::uint64_t{static_cast<unsigned char>(file[at + i])} << (8 * i);
  return value;
}

inline void put_crc32(std::string& file, std::uint64_t at, std::uint32_t checksum) {
  if (at > file.size() || file.size() - at < sizeof checksum) return;
  for (std::size_t i = 0; i < sizeof checksum; ++i) file[at + i] = static_cast<char>((checksum >> (8 * i)) & 0xFFU);
}

/// The CRC-32 of each stored entry of a zip archive: in the directory, in front of the entry and behind it.
inline void sign_archive(std::string& file) {
  constexpr std::string_view kRow{"PK\1\2", 4}, kBehind{"PK\7\10", 4};
  for (std::size_t at = file.find(kRow); at != std::string::npos; at = file.find(kRow, at + 4)) {
    const std::uint64_t header = number_at(file, at + 42, 4), bytes = number_at(file, at + 20, 4);
    const std::uint64_t data = header + 30 + number_at(file, header + 26, 2) + number_at(file, header + 28, 2);
    if (number_at(file, at + 10, 2) != 0 || data > file.size() || bytes > file.size() - data) continue;
    const std::uint32_t checksum = base::crc32(base::as_bytes(std::string_view(file).substr(data, bytes)));
    put_crc32(file, at + 16, checksum);
    put_crc32(file, header + 14, checksum);
    if (std::string_view(file).substr(data + bytes).starts_with(kBehind)) put_crc32(file, data + bytes + 4, checksum);
  }
}

/// The digest that ends each text of digests, which is over the text itself.
inline void sign_digests(std::string& file) {
  constexpr std::string_view kFirst = "xxh3-128 ";
  constexpr std::size_t kDigest = 32;
  for (std::size_t at = file.find(kFirst); at != std::string::npos; at = file.find(kFirst, at + 1)) {
    const std::size_t end = std::min(file.find_first_not_of("xh-0123456789abcdef ", at), file.size());
    if (end - at < 2 * kDigest) continue;
    const std::string_view text = std::string_view(file).substr(at, end - at - kDigest);
    file.replace(end - kDigest, kDigest, base::hex(base::xxh3(base::as_bytes(text))));
  }
}

}  // namespace tenon::fuzz
