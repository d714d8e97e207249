// The members of a tar archive: names and places, never extracted.
//
//   | header: 512 bytes | content, padded to 512 | header | ... | two blocks of zeros |
//
// Source: POSIX.1-2008, pax, "ustar Interchange Format" and "pax Header Block"; GNU tar manual, "GNU Format" (long
// names, base-256 sizes).
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include <tenon/error.hpp>
#include <tenon/limits.hpp>

namespace tenon::container {

struct TarMember {
  std::string name;
  std::uint64_t offset = 0;  ///< of the content in the archive
  std::uint64_t bytes = 0;   ///< of the content
  bool is_file = false;      ///< a regular file: no link, folder or device
};

/// True where `ustar` stands in its place.
bool looks_like_tar(std::span<const std::byte> bytes);

/// All members in the archive's order. Long names of the pax and GNU forms are resolved.
/// Throws Error: Corrupt (a header's checksum, a size beyond the end), Limit.
std::vector<TarMember> read_tar(std::span<const std::byte> archive, const std::string& file, const Limits& limits);

}  // namespace tenon::container
