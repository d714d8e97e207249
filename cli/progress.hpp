// Progress on terminals: one line on stderr that is written over and taken away at the end.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>

#include <tenon/progress.hpp>

#include "session.hpp"

namespace tenon::cli {

/// `writing 1.2 GB of 4.0 GB, 900 MB/s, 3 s left`; what is not known yet is left out.
std::string progress_text(const std::string& verb, std::uint64_t done_bytes, std::uint64_t all_bytes, double seconds);

/// Shows nothing in the first half second, off terminals, and with --quiet or --json.
class ProgressLine {
 public:
  /// `verb`: what is being done, `writing`.
  ProgressLine(const Session& session, std::string verb);
  ~ProgressLine();
  ProgressLine(const ProgressLine&) = delete;
  ProgressLine& operator=(const ProgressLine&) = delete;

  /// For the library. Throws Error Cancelled after an interrupt. Valid as long as the line.
  Progress of_bytes();
  void show(const std::string& text);

 private:
  using Clock = std::chrono::steady_clock;

  std::string verb_;
  bool is_terminal_;
  std::size_t width_;
  Clock::time_point start_ = Clock::now();
  Clock::time_point next_ = start_ + std::chrono::milliseconds(500);
  bool is_shown_ = false;
};

}  // namespace tenon::cli
