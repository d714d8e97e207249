// Every fault at every point of a save, on a disk in memory. The table in README's section on reliability is what
// these print (`scripts/torture` runs longer ones).
#include "faults/sweeps.hpp"

#include <gtest/gtest.h>

#include <iostream>

namespace tenon::test {
namespace {

/// One file: less than a sector, some, more than one piece of the writer; then shards.
std::vector<Writer> writers_under_test() {
  std::vector<Writer> writers;
  for (const std::size_t bytes : {std::size_t{100}, std::size_t{40'000}, std::size_t{700'000}})
    for (const bool zip : {false, true}) writers.push_back(single_writer(bytes, zip));
  for (const std::size_t shards : {std::size_t{2}, std::size_t{5}}) writers.push_back(sharded_writer(shards, 3'000));
  return writers;
}

constexpr Before kBefore[] = {Before::Nothing, Before::OldVersion};

/// Each sweep has its equal part of the test's time.
template <typename Sweep>
Outcome over(const std::vector<Writer>& writers, Sweep sweep) {
  const Until end = end_of_test();
  std::size_t parts = writers.size() * std::size(kBefore);
  Outcome all;
  for (const Writer& writer : writers)
    for (const Before before : kBefore) all.add(sweep(writer, before, share_until(end, parts--)));
  return all;
}

/// Clean, and of so many points; a test whose time is bounded may have seen fewer.
void expect_clean(const char* name, const Outcome& outcome, std::uint64_t points) {
  std::cout << name << ": " << outcome << "\n";
  EXPECT_TRUE(outcome.is_clean()) << outcome;
  EXPECT_GT(outcome.points, outcome.is_cut_short ? 0U : points);
}

TEST(FaultSweep, AKillAtEveryCall) {
  std::vector<Writer> writers = writers_under_test();
  for (const std::size_t shards : {std::size_t{12}, std::size_t{40}}) writers.push_back(sharded_writer(shards, 600));
  for (std::size_t mebibytes = 4; is_long() && mebibytes <= 64; mebibytes *= 2)
    writers.push_back(single_writer(mebibytes << 20U, false));
  for (std::size_t shards = 60; is_long() && shards <= 120; shards += 20)
    writers.push_back(sharded_writer(shards, 600));
  expect_clean("kill", over(writers, kill_sweep), 1'000);
}

TEST(FaultSweep, APowerCutAtEveryCall) {
  const std::size_t states = 256 * effort();
  std::vector<Writer> writers;
  for (const bool zip : {false, true}) writers.push_back(single_writer(2'000, zip));
  for (const std::size_t shards : {std::size_t{2}, std::size_t{3}, std::size_t{6}})
    writers.push_back(sharded_writer(shards, 1'000));
  const auto sweep = [=](const Writer& w, Before b, Until end) { return power_cut_sweep(w, b, states, end); };
  expect_clean("power cut", over(writers, sweep), 4'000);
}

TEST(FaultSweep, AnErrorAtEveryCall) {
  const Outcome outcome = over(writers_under_test(), error_sweep);
  expect_clean("error", outcome, 1'000);
  std::cout << outcome.acknowledged << " saved all the same\n";
}

TEST(FaultSweep, AnErrorAtEveryCallOfTheSaveAfterAKill) {
  std::vector<Writer> writers = {single_writer(100, false)};
  const std::vector<std::size_t> counts = is_long() ? std::vector<std::size_t>{2, 3, 6} : std::vector<std::size_t>{2};
  for (const std::size_t shards : counts) writers.push_back(sharded_writer(shards, 600));
  expect_clean("error after a kill", over(writers, recovery_sweep), 3'000);
}

TEST(FaultSweep, ADiskThatIsFullAtEveryByteCount) {
  const auto sweep = [](const Writer& w, Before b, Until end) { return full_disk_sweep(w, b, 4096, end); };
  expect_clean("full disk", over(writers_under_test(), sweep), 300);
}

/// The test of the tests.
TEST(FaultSweep, EveryBadWriterIsCaught) {
  std::size_t caught = 0;
  for (const Writer& writer : bad_writers()) {
    Outcome outcome;
    for (const Before before : kBefore) {
      outcome.add(kill_sweep(writer, before));
      outcome.add(power_cut_sweep(writer, before, 256));
      outcome.add(error_sweep(writer, before));
      outcome.add(full_disk_sweep(writer, before, 512));
    }
    std::cout << writer.name << ": " << outcome << "\n";
    EXPECT_FALSE(outcome.is_clean()) << writer.name << " passes every sweep";
    caught += outcome.is_clean() ? 0 : 1;
  }
  EXPECT_GE(caught, 8U);
}

}  // namespace
}  // namespace tenon::test
