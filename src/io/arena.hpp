// Arena: memory for a copy of a model's tensors, kept from one copy to the next. In large pages where the system gives
// them: first touches of small ones cost more than the copying.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace tenon::io {

class Arena {
 public:
  Arena() = default;
  ~Arena();
  Arena(const Arena&) = delete;
  Arena& operator=(const Arena&) = delete;

  /// `count` bytes, aligned to pages, of any content; what was given before is no longer valid. Throws std::bad_alloc.
  std::span<std::byte> take(std::uint64_t count);

 private:
  std::span<std::byte> memory_;
};

}  // namespace tenon::io
