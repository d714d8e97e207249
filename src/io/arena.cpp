#include "io/arena.hpp"

#include <sys/mman.h>

#include <new>

namespace tenon::io {

Arena::~Arena() {
  if (!memory_.empty()) ::munmap(memory_.data(), memory_.size());
}

std::span<std::byte> Arena::take(std::uint64_t count) {
  if (count > memory_.size()) {
    if (!memory_.empty()) ::munmap(memory_.data(), memory_.size());
    memory_ = {};
    void* mapped = ::mmap(nullptr, count, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (mapped == MAP_FAILED) throw std::bad_alloc();
    ::madvise(mapped, count, MADV_HUGEPAGE);
    memory_ = {static_cast<std::byte*>(mapped), static_cast<std::size_t>(count)};
  }
  return memory_.first(static_cast<std::size_t>(count));
}

}  // namespace tenon::io
