// Meter: how far work on several threads is, told as a Progress.
#pragma once

#include <cstdint>
#include <mutex>

#include <tenon/progress.hpp>

namespace tenon::base {

/// Safe to share between threads; the Progress, which must outlive it, is called by one of them at a time. What it
/// throws comes out of add().
class Meter {
 public:
  Meter(const Progress& progress, std::uint64_t all_bytes) : progress_(progress), all_bytes_(all_bytes) {}

  void add(std::uint64_t bytes) {
    if (!progress_) return;
    const std::lock_guard lock(mutex_);
    done_bytes_ += bytes;
    progress_(done_bytes_, all_bytes_);
  }

 private:
  const Progress& progress_;
  std::uint64_t all_bytes_;
  std::mutex mutex_;  ///< guards done_bytes_ and the call
  std::uint64_t done_bytes_ = 0;
};

}  // namespace tenon::base
