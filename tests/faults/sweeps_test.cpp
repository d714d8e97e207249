// Every fault at every point of a save, on a disk in memory. The table in README's section on reliability is what
// these print (`scripts/torture` runs longer ones).
#include "faults/sweeps.hpp"

#include <gtest/gtest.h>

#include <cstdlib>
#include <iostream>

namespace tenon::test {
namespace {

/// How much longer than in the ordinary tests: 1, or what TENON_TORTURE says.
std::size_t effort() {
  const char* text = std::getenv("TENON_TORTURE");
  const long factor = text == nullptr ? 1 : std::strtol(text, nullptr, 10);
  return factor > 1 ? static_cast<std::size_t>(factor) : 1;
}

/// One file: less than a sector, some, more than one piece of the writer; then shards.
std::vector<Writer> writers_under_test() {
  std::vector<Writer> writers;
  for (const std::size_t bytes : {std::size_t{100}, std::size_t{40'000}, std::size_t{700'000}})
    for (const bool zip : {false, true}) writers.push_back(single_writer(bytes, zip));
  for (const std::size_t shards : {std::size_t{2}, std::size_t{5}}) writers.push_back(sharded_writer(shards, 3'000));
  return writers;
}

constexpr Before kBefore[] = {Before::Nothing, Before::OldVersion};

template <typename Sweep>
Outcome over(const std::vector<Writer>& writers, Sweep sweep) {
  Outcome all;
  for (const Writer& writer : writers)
    for (const Before before : kBefore) all.add(sweep(writer, before));
  return all;
}

TEST(FaultSweep, AKillAtEveryCall) {
  std::vector<Writer> writers = writers_under_test();
  for (const std::size_t shards : {std::size_t{12}, std::size_t{40}}) writers.push_back(sharded_writer(shards, 600));
  for (std::size_t mebibytes = 4; effort() > 1 && mebibytes <= 64; mebibytes *= 2)
    writers.push_back(single_writer(mebibytes << 20U, false));
  for (std::size_t shards = 60; effort() > 1 && shards <= 120; shards += 20)
    writers.push_back(sharded_writer(shards, 600));
  const Outcome outcome = over(writers, kill_sweep);
  std::cout << "kill: " << outcome << "\n";
  EXPECT_TRUE(outcome.is_clean()) << outcome;
  EXPECT_GT(outcome.points, 1'000U);
}

TEST(FaultSweep, APowerCutAtEveryCall) {
  const std::size_t states = 256 * effort();
  std::vector<Writer> writers;
  for (const bool zip : {false, true}) writers.push_back(single_writer(2'000, zip));
  for (const std::size_t shards : {std::size_t{2}, std::size_t{3}, std::size_t{6}})
    writers.push_back(sharded_writer(shards, 1'000));
  const Outcome outcome = over(writers, [=](const Writer& w, Before b) { return power_cut_sweep(w, b, states); });
  std::cout << "power cut: " << outcome << "\n";
  EXPECT_TRUE(outcome.is_clean()) << outcome;
  EXPECT_GT(outcome.points, 4'000U);
}

TEST(FaultSweep, AnErrorAtEveryCall) {
  const Outcome outcome = over(writers_under_test(), error_sweep);
  std::cout << "error: " << outcome << ", " << outcome.acknowledged << " saved all the same\n";
  EXPECT_TRUE(outcome.is_clean()) << outcome;
  EXPECT_GT(outcome.points, 1'000U);
}

TEST(FaultSweep, ADiskThatIsFullAtEveryByteCount) {
  const Outcome outcome =
      over(writers_under_test(), [](const Writer& w, Before b) { return full_disk_sweep(w, b, 4096); });
  std::cout << "full disk: " << outcome << "\n";
  EXPECT_TRUE(outcome.is_clean()) << outcome;
  EXPECT_GT(outcome.points, 300U);
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
