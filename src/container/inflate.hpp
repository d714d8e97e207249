// Inflate: unpacks one deflated archive entry (RFC 1951, through zlib) into memory whose size the archive claimed.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include <tenon/error.hpp>
#include <tenon/limits.hpp>

namespace tenon::container {

/// Returns exactly `unpacked_bytes` bytes. The claim is refused before anything is allocated when deflate cannot reach
/// it. Throws Error at `where`: Limit (ratio), Corrupt (no valid stream, or it yields another size).
std::vector<std::byte> inflate(std::span<const std::byte> packed, std::uint64_t unpacked_bytes, const Where& where,
                               const Limits& limits);

/// Unpacks a gzip file (RFC 1952), of which nobody says the size; several members one after another are one stream.
/// Throws Error at `where`: Limit (ratio, size), Corrupt (no valid stream, bytes left over).
std::vector<std::byte> gunzip(std::span<const std::byte> packed, const Where& where, const Limits& limits);
/// The first `count` bytes that the entry unpacks to, or all of them when they are fewer. Throws Error Corrupt.
std::vector<std::byte> inflate_start(std::span<const std::byte> packed, std::uint64_t count, const Where& where);

}  // namespace tenon::container
