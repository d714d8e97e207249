// Digests over byte runs: SHA-256 for identity (OpenSSL), CRC-32 for archives (zlib).
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
