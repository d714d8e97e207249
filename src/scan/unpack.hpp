// Unpacks zlib, gzip and raw deflate streams within the scan's budgets.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "base/limit_error.hpp"
#include "scan/collector.hpp"

namespace tenon::scanning {

enum class Wrapping : std::uint8_t { Deflate, Zlib, Gzip };

enum class UnpackEnd : std::uint8_t {
  Whole,    ///< the stream ended as it should
  Limited,  ///< `most` bytes, the file's budget or the ratio of a bomb were reached
  Damaged,  ///< what came out before the damage is there
};

struct Unpacked {
  std::vector<std::byte> bytes;
  std::uint64_t read_bytes = 0;  ///< of the packed stream
  UnpackEnd end = UnpackEnd::Whole;
  std::uint64_t Limits::*limit = nullptr;  ///< that was reached
};

/// Unpacks no more than the limit `most` allows. Gzip members that follow each other are one stream.
Unpacked unpack(std::span<const std::byte> packed, Wrapping wrapping, base::NamedLimit most, Collector& out);

}  // namespace tenon::scanning
