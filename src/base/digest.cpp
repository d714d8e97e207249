#include "base/digest.hpp"

#include <openssl/evp.h>
#include <zlib.h>
#ifdef TENON_XXH_DISPATCH
#include <xxh_x86dispatch.h>
#else
#include <xxhash.h>
#endif
#ifdef TENON_ISAL
#include <isa-l/crc.h>
#endif

#include <array>

#include <fmt/format.h>

#include <tenon/error.hpp>

namespace tenon::base {

std::uint32_t crc32(std::span<const std::byte> bytes, std::uint32_t seed) {
  if (bytes.empty()) return seed;
#ifdef TENON_ISAL
  return ::crc32_gzip_refl(seed, reinterpret_cast<const unsigned char*>(bytes.data()), bytes.size());
#else
  return static_cast<std::uint32_t>(::crc32_z(seed, reinterpret_cast<const Bytef*>(bytes.data()), bytes.size()));
#endif
}

std::uint32_t crc32_combine(std::uint32_t first, std::uint32_t second, std::uint64_t second_bytes) {
  return static_cast<std::uint32_t>(::crc32_combine(first, second, static_cast<z_off_t>(second_bytes)));
}

Xxh3 xxh3(std::span<const std::byte> bytes) {
  const XXH128_hash_t digest = XXH3_128bits(bytes.data(), bytes.size());
  return {digest.high64, digest.low64};
}

std::string hex(const Xxh3& digest) { return fmt::format("{:016x}{:016x}", digest.high, digest.low); }

struct Xxh3Stream::State {
  XXH3_state_t* state = XXH3_createState();
  State() = default;
  State(const State&) = delete;
  State& operator=(const State&) = delete;
  ~State() { XXH3_freeState(state); }
};

Xxh3Stream::Xxh3Stream() : state_(std::make_unique<State>()) {
  TENON_ASSERT(state_->state != nullptr && XXH3_128bits_reset(state_->state) == XXH_OK);
}

Xxh3Stream::~Xxh3Stream() = default;

void Xxh3Stream::update(std::span<const std::byte> bytes) {
  if (!bytes.empty()) TENON_ASSERT(XXH3_128bits_update(state_->state, bytes.data(), bytes.size()) == XXH_OK);
}

Xxh3 Xxh3Stream::finish() {
  const XXH128_hash_t digest = XXH3_128bits_digest(state_->state);
  TENON_ASSERT(XXH3_128bits_reset(state_->state) == XXH_OK);
  return {digest.high64, digest.low64};
}

struct Sha256::State {
  EVP_MD_CTX* context = EVP_MD_CTX_new();
  State() = default;
  State(const State&) = delete;
  State& operator=(const State&) = delete;
  ~State() { EVP_MD_CTX_free(context); }
};

Sha256::Sha256() : state_(std::make_unique<State>()) {
  TENON_ASSERT(state_->context != nullptr && EVP_DigestInit_ex(state_->context, EVP_sha256(), nullptr) == 1);
}

Sha256::~Sha256() = default;

void Sha256::update(std::span<const std::byte> bytes) {
  TENON_ASSERT(EVP_DigestUpdate(state_->context, bytes.data(), bytes.size()) == 1);
}

std::string Sha256::hex() {
  std::array<unsigned char, 32> digest{};
  unsigned int length = 0;
  TENON_ASSERT(EVP_DigestFinal_ex(state_->context, digest.data(), &length) == 1 && length == digest.size());
  constexpr std::string_view kDigits = "0123456789abcdef";
  std::string text;
  for (const unsigned char byte : digest) {
    text += kDigits[byte >> 4U];
    text += kDigits[byte & 15U];
  }
  return text;
}

}  // namespace tenon::base
