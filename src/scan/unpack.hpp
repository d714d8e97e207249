// Unpacks zlib, gzip and raw deflate streams within the scan's budgets.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "scan/collector.hpp"

namespace tenon::scanning {

enum class Wrapping : std::uint8_t { Deflate, Zlib, Gzip };

enum class UnpackEnd : std::uint8_t {
  Whole,    ///< the stream ended as it should
  Stopped,  ///< `most` bytes were reached
  Damaged,  ///< what came out before the damage is there
  Limit,    ///< the file's budget or the ratio of a bomb
};

struct Unpacked {
  std::vector<std::byte> bytes;
  std::uint64_t read_bytes = 0;  ///< of the packed stream
  UnpackEnd end = UnpackEnd::Whole;
};

/// Unpacks at most `most` bytes. Gzip members that follow each other are one stream.
Unpacked unpack(std::span<const std::byte> packed, Wrapping wrapping, std::uint64_t most, Collector& out);

}  // namespace tenon::scanning
