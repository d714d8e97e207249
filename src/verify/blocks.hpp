// The part of verify that reads every byte: pieces of at most a block, checked by two workers.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include <tenon/progress.hpp>

#include "formats/digests.hpp"

namespace tenon::verification {

/// A run of bytes and what is asked of it.
struct Piece {
  std::span<const std::byte> bytes;
  const formats::FileDigests* digests = nullptr;  ///< null: no digest to compare with
  std::size_t row = 0;
  std::uint64_t block = 0;
  bool wants_crc32 = false;
};

struct PieceResult {
  std::uint32_t crc32 = 0;
  bool matches = true;  ///< its digest, where it has one
};

/// One result for each piece, in their order. Each byte is read from memory once. `progress` counts the pieces' bytes.
std::vector<PieceResult> check_pieces(std::span<const Piece> pieces, const Progress& progress);

/// Cuts `bytes` into blocks; each gets the digest of its number in `row`, where there are digests.
void add_pieces(std::span<const std::byte> bytes, const formats::FileDigests* digests, std::size_t row,
                bool wants_crc32, std::vector<Piece>& pieces);

/// CRC-32 of consecutive pieces as one run.
std::uint32_t crc32_of(std::span<const Piece> pieces, std::span<const PieceResult> results);

}  // namespace tenon::verification
