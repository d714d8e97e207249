#include "verify/blocks.hpp"

#include "base/digest.hpp"
#include "base/meter.hpp"
#include "base/parallel.hpp"

namespace tenon::verification {

std::vector<PieceResult> check_pieces(std::span<const Piece> pieces, const Progress& progress) {
  std::vector<PieceResult> results(pieces.size());
  std::uint64_t all_bytes = 0;
  for (const Piece& piece : pieces) all_bytes += piece.bytes.size();
  base::Meter meter(progress, all_bytes);
  base::parallel_for(pieces.size(), [&](std::size_t i) {
    const Piece& piece = pieces[i];
    if (piece.digests != nullptr)
      results[i].matches = piece.digests->block_matches(piece.row, piece.block, piece.bytes);
    if (piece.wants_crc32) results[i].crc32 = base::crc32(piece.bytes);
    meter.add(piece.bytes.size());
  });
  return results;
}

void add_pieces(std::span<const std::byte> bytes, const formats::FileDigests* digests, std::size_t row,
                bool wants_crc32, std::vector<Piece>& pieces) {
  const std::uint64_t count = formats::digest_blocks(bytes.size(), formats::kDigestBlockBytes);
  for (std::uint64_t i = 0; i < count; ++i)
    pieces.push_back({formats::digest_block(bytes, i, formats::kDigestBlockBytes), digests, row, i, wants_crc32});
}

std::uint32_t crc32_of(std::span<const Piece> pieces, std::span<const PieceResult> results) {
  std::uint32_t crc = 0;
  for (std::size_t i = 0; i < pieces.size(); ++i)
    crc = base::crc32_combine(crc, results[i].crc32, pieces[i].bytes.size());
  return crc;
}

}  // namespace tenon::verification
