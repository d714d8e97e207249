// How much the sweeps do. TENON_TORTURE is a factor: 1 in the ordinary tests, 2 and more in scripts/torture.
// TENON_TORTURE_SECONDS bounds a test in time; without it a sweep goes to its end. Both are the tests' own.
#pragma once

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdlib>

namespace tenon::test {

using Until = std::chrono::steady_clock::time_point;
inline constexpr Until kNoEnd = Until::max();

inline std::size_t number_in_environment(const char* name, std::size_t otherwise) {
  const char* text = std::getenv(name);
  const long number = text == nullptr ? 0 : std::strtol(text, nullptr, 10);
  return number > 0 ? static_cast<std::size_t>(number) : otherwise;
}

inline std::size_t effort() { return number_in_environment("TENON_TORTURE", 1); }
inline bool is_long() { return effort() > 1; }

/// When a test that begins now has to be done.
inline Until end_of_test() {
  const std::size_t seconds = number_in_environment("TENON_TORTURE_SECONDS", 0);
  return seconds == 0 ? kNoEnd : std::chrono::steady_clock::now() + std::chrono::seconds(seconds);
}

inline bool is_over(Until end) { return end != kNoEnd && std::chrono::steady_clock::now() >= end; }

/// What one of `parts` equal parts of the time until `end` may take, from now on.
inline Until share_until(Until end, std::size_t parts) {
  if (end == kNoEnd) return kNoEnd;
  const auto now = std::chrono::steady_clock::now();
  return now + std::max(end - now, Until::duration::zero()) / std::max<std::size_t>(parts, 1);
}

}  // namespace tenon::test
