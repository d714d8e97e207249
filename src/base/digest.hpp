// Digests over byte runs: SHA-256 for identity (OpenSSL), CRC-32 for archives (ISA-L, else zlib), XXH3-128 against
// damage (xxHash, by the widest vectors that the processor has). Only SHA-256 withstands somebody who forges bytes on
// purpose.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>

namespace tenon::base {

/// CRC-32 of zip (polynomial 0xEDB88320), continued from `seed` (0 to start).
std::uint32_t crc32(std::span<const std::byte> bytes, std::uint32_t seed = 0);

/// CRC-32 of two runs, one behind the other, from their own and the length of the second.
std::uint32_t crc32_combine(std::uint32_t first, std::uint32_t second, std::uint64_t second_bytes);

struct Xxh3 {
  std::uint64_t high = 0, low = 0;
  friend bool operator==(const Xxh3&, const Xxh3&) = default;
};

/// XXH3-128 without a seed.
Xxh3 xxh3(std::span<const std::byte> bytes);

/// 32 lower-case digits, the canonical (big-endian) form.
std::string hex(const Xxh3& digest);

/// The same, piece by piece.
class Xxh3Stream {
 public:
  Xxh3Stream();
  ~Xxh3Stream();
  Xxh3Stream(const Xxh3Stream&) = delete;
  Xxh3Stream& operator=(const Xxh3Stream&) = delete;
  void update(std::span<const std::byte> bytes);
  Xxh3 finish();  ///< the digest of all since the last finish(); begins anew

 private:
  struct State;
  std::unique_ptr<State> state_;
};

class Sha256 {
 public:
  Sha256();
  ~Sha256();
  Sha256(const Sha256&) = delete;
  Sha256& operator=(const Sha256&) = delete;
  void update(std::span<const std::byte> bytes);
  std::string hex();  ///< 64 lower-case digits; call once

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace tenon::base
