// Sweeps: one fault at every point of a save, and what stands afterwards. A sweep ends with a run in which no fault
// fired, so that no point is left out. Source of the method: How SQLite Is Tested, "Out-of-memory testing" and "I/O
// error testing".
#pragma once

#include <cstdint>
#include <iosfwd>
#include <string>
#include <vector>

#include "faults/effort.hpp"
#include "faults/writers.hpp"

namespace tenon::test {

/// What a sweep saw. All but `points` and `acknowledged` must be 0.
struct Outcome {
  std::uint64_t points = 0;        ///< faults, or states of the disk after one, that were looked at
  std::uint64_t acknowledged = 0;  ///< saves that returned in spite of the fault
  std::uint64_t torn = 0;          ///< neither the old version nor the new one, whole
  std::uint64_t lost = 0;          ///< nothing, where an old version was
  std::uint64_t false_ok = 0;      ///< acknowledged, and not there
  std::uint64_t left_behind = 0;   ///< files beside the checkpoint after a save that returned or failed by an error
  std::uint64_t not_cleaned = 0;   ///< the next save failed, or files of the dead writer outlived it
  bool is_cut_short = false;       ///< the time was over before the points were
  std::vector<std::string> examples;

  bool is_clean() const { return torn + lost + false_ok + left_behind + not_cleaned == 0; }
  void add(const Outcome& other);
};
std::ostream& operator<<(std::ostream& out, const Outcome& outcome);

enum class Before : std::uint8_t { Nothing, OldVersion };

/// The process is killed at every call.
Outcome kill_sweep(const Writer& writer, Before before, Until end = kNoEnd);
/// The power goes at every call, and right after the save was acknowledged; at most `states` disks a point.
Outcome power_cut_sweep(const Writer& writer, Before before, std::size_t states, Until end = kNoEnd);
/// Every call fails with each errno, once and from then on for ever; reads and writes stop short. After an
/// acknowledged save the power goes.
Outcome error_sweep(const Writer& writer, Before before, Until end = kNoEnd);
/// The process is killed at every call, and of the next save, by another process, every call fails once.
Outcome recovery_sweep(const Writer& writer, Before before, Until end = kNoEnd);
/// The disk holds `step` bytes more each time, from nothing to enough.
Outcome full_disk_sweep(const Writer& writer, Before before, std::uint64_t step, Until end = kNoEnd);

}  // namespace tenon::test
