// Real processes on a real file system, killed by SIGKILL at every call of a save. What the sweeps in memory assume of
// the system (who is dead, what a lock is, what a name leads to) is the system's own here.
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstdint>
#include <filesystem>
#include <iostream>
#include <string>
#include <vector>

#include "faults/faulty_fs.hpp"
#include "faults/memory_folder.hpp"
#include "faults/sweeps.hpp"

namespace tenon::test {
namespace {

namespace paths = std::filesystem;

/// The writers save into `./d`.
class KilledProcesses : public MemoryFolder {
 protected:
  void SetUp() override {
    MemoryFolder::SetUp();
    before_ = paths::current_path();
    paths::current_path(folder());
    paths::create_directory("e");
  }
  void TearDown() override {
    paths::current_path(before_);
    MemoryFolder::TearDown();
  }

  /// The folder as a reader finds it.
  static ModelFs files() {
    ModelFs fs;
    for (const auto& entry : paths::directory_iterator("d")) fs.put(entry.path().string(), get(entry.path().string()));
    return fs;
  }

  static void start(const Writer& writer, Before before) {
    paths::remove_all("d");
    paths::create_directory("d");
    if (before == Before::OldVersion) writer.save(io::system_fs(), {'a'});
  }

  /// Saves `b` in a process of its own that kills itself at its n-th call. Returns what waitpid() says.
  static int save_until(const Writer& writer, std::uint64_t n) {
    const pid_t child = ::fork();
    if (child == 0) {
      FaultyFs fs(io::system_fs(), [n](std::uint64_t call, Call) -> std::optional<Fault> {
        if (call == n) ::raise(SIGKILL);
        return std::nullopt;
      });
      try {
        writer.save(fs, {'b'});
      } catch (const std::exception&) {
        ::_exit(1);
      }
      ::_exit(0);
    }
    int status = 0;
    ::waitpid(child, &status, 0);
    return status;
  }

  /// At every call; ends with a run that nothing interrupts.
  static Outcome sweep(const Writer& writer, Before before, Until end) {
    Outcome outcome;
    const char old = before == Before::OldVersion ? 'a' : '-';
    for (std::uint64_t n = 1;; ++n) {
      outcome.is_cut_short = is_over(end);
      if (outcome.is_cut_short) return outcome;
      start(writer, before);
      const int status = save_until(writer, n);
      const bool acknowledged = WIFEXITED(status) && WEXITSTATUS(status) == 0;
      ModelFs found = files();
      const char version = writer.read(found);
      ++outcome.points;
      if (acknowledged && version != 'b') ++outcome.false_ok;
      if (acknowledged && !writer.left_behind(found).empty()) ++outcome.left_behind;
      if (version == '-' && old != '-') ++outcome.lost;
      if (version != '-' && version != old && version != 'b') ++outcome.torn;
      if (!WIFSIGNALED(status)) return outcome;
      writer.save(io::system_fs(), {'c'});
      ModelFs cleaned = files();
      if (writer.read(cleaned) != 'c' || !writer.left_behind(cleaned).empty()) {
        ++outcome.not_cleaned;
        outcome.examples.push_back("killed at call " + std::to_string(n) + ", then another save");
      }
    }
  }

  static Outcome sweep(const Writer& writer, Until end) {
    Outcome outcome = sweep(writer, Before::Nothing, share_until(end, 2));
    outcome.add(sweep(writer, Before::OldVersion, end));
    return outcome;
  }

 private:
  paths::path before_;
};

TEST_F(KilledProcesses, LeaveTheOldVersionOrTheNewOne) {
  std::vector<Writer> writers = {single_writer(5'000, false), single_writer(5'000, true), sharded_writer(2, 3'000)};
  if (is_long()) {
    for (const std::size_t bytes : {std::size_t{600'000}, std::size_t{4'000'000}, std::size_t{16'000'000}})
      for (const bool zip : {false, true}) writers.push_back(single_writer(bytes, zip));
    for (const std::size_t shards : {std::size_t{5}, std::size_t{12}, std::size_t{24}})
      writers.push_back(sharded_writer(shards, 3'000));
  }
  Outcome all;
  const Until end = end_of_test();
  std::size_t parts = writers.size();
  for (const Writer& writer : writers) all.add(sweep(writer, share_until(end, parts--)));
  std::cout << "killed processes: " << all << "\n";
  EXPECT_TRUE(all.is_clean()) << all;
  EXPECT_GT(all.points, all.is_cut_short ? 0U : 200U);
}

/// Those whose mistake a kill can show; the others need a power cut, a disk that fails or one that is full.
TEST_F(KilledProcesses, ShowTheMistakesOfBadWriters) {
  std::size_t caught = 0;
  for (const Writer& writer : bad_writers()) {
    const Outcome outcome = sweep(writer, kNoEnd);
    std::cout << writer.name << " (killed): " << outcome << "\n";
    caught += outcome.is_clean() ? 0 : 1;
  }
  EXPECT_GE(caught, 3U);
}

}  // namespace
}  // namespace tenon::test
