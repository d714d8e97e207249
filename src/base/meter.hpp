// Meter: how far long work is, told as a Progress.
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
    constexpr std::uint64_t kStep = std::uint64_t{4}
                                    << 20U;  // a call for every small piece would cost more than it tells
    if (!progress_) return;
    const std::lock_guard lock(mutex_);
    done_bytes_ += bytes;
    if (done_bytes_ < next_ && done_bytes_ < all_bytes_) return;
    next_ = done_bytes_ + kStep;
    progress_(done_bytes_, all_bytes_);
  }

  /// Tells how far it is where no bytes move: a Progress may end that as well.
  void tell() {
    if (!progress_) return;
    const std::lock_guard lock(mutex_);
    progress_(done_bytes_, all_bytes_);
  }

 private:
  const Progress& progress_;
  std::uint64_t all_bytes_;
  std::mutex mutex_;  ///< guards the two below and the call
  std::uint64_t done_bytes_ = 0, next_ = 0;
};

}  // namespace tenon::base
