#include "progress.hpp"

#include <unistd.h>

#include <algorithm>
#include <utility>

#include <fmt/format.h>

#include "base/text.hpp"
#include "interrupt.hpp"

namespace tenon::cli {

std::string progress_text(const std::string& verb, std::uint64_t done_bytes, std::uint64_t all_bytes, double seconds) {
  std::string text = fmt::format("{} {} of {}", verb, base::bytes_text(done_bytes), base::bytes_text(all_bytes));
  if (seconds < 0.1 || done_bytes == 0) return text;
  const double rate = static_cast<double>(done_bytes) / seconds;
  const double left = static_cast<double>(all_bytes - std::min(done_bytes, all_bytes)) / rate;
  text += fmt::format(", {}/s", base::bytes_text(static_cast<std::uint64_t>(rate)));
  return text + (left < 90 ? fmt::format(", {:.0f} s left", left) : fmt::format(", {:.0f} min left", left / 60));
}

ProgressLine::ProgressLine(const Session& session, std::string verb)
    : verb_(std::move(verb)),
      is_terminal_(!session.quiet && !session.json && ::isatty(STDERR_FILENO) == 1),
      width_(session.message_style().width) {}

ProgressLine::~ProgressLine() {
  if (is_shown_) complain("\r\x1b[K");
}

Progress ProgressLine::of_bytes() {
  return [this](std::uint64_t done_bytes, std::uint64_t all_bytes) {
    throw_if_interrupted();
    const std::chrono::duration<double> seconds = Clock::now() - start_;
    if (is_terminal_ && Clock::now() >= next_) show(progress_text(verb_, done_bytes, all_bytes, seconds.count()));
  };
}

void ProgressLine::show(const std::string& text) {
  if (!is_terminal_ || Clock::now() < next_) return;
  next_ = Clock::now() + std::chrono::milliseconds(100);
  is_shown_ = true;
  // A line that wraps could not be written over.
  complain("\r" + (width_ > 1 ? text.substr(0, width_ - 1) : text) + "\x1b[K");
}

}  // namespace tenon::cli
