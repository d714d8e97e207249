// Readers and writers of one file at once: a reader sees a whole old version or a whole new one, and what it has opened
// stays as it was. The same bytes come out however often a checkpoint is read and saved.
#include <gtest/gtest.h>

#include <atomic>
#include <cstdint>
#include <iostream>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include <tenon/checkpoint.hpp>
#include <tenon/save.hpp>

#include "faults/effort.hpp"
#include "faults/memory_folder.hpp"

namespace tenon {
namespace {

constexpr std::size_t kTensors = 3;
constexpr std::size_t kBytes = 6'000;

std::uint64_t opens() { return test::is_long() ? 100'000 : 2'000; }

Snapshot version(char mark) {
  Snapshot snapshot;
  for (std::size_t i = 0; i < kTensors; ++i)
    add_tensor(snapshot, "layer." + std::to_string(i),
               make_tensor(DType::UInt8, {static_cast<std::int64_t>(kBytes)},
                           std::vector<std::byte>(kBytes, static_cast<std::byte>(mark))));
  return snapshot;
}

/// The byte that every tensor is full of; throws where it is not one.
char mark_of(const Checkpoint& checkpoint) {
  if (checkpoint.tensors().size() != kTensors) throw std::runtime_error("tensors are missing");
  char mark = 0;
  for (std::size_t i = 0; i < kTensors; ++i) {
    const Tensor tensor = checkpoint.tensor(i);
    for (const std::byte byte : tensor.storage.subspan(tensor.offset_bytes, kBytes)) {
      if (mark == 0) mark = static_cast<char>(byte);
      if (static_cast<char>(byte) != mark) throw std::runtime_error("two versions in one");
    }
  }
  return mark;
}

struct Row {
  const char* name;
  const char* file;
  const char* opened;
  SaveOptions options;
};
void PrintTo(const Row& row, std::ostream* out) { *out << row.name; }

class ReplacedFiles : public test::MemoryFolder, public testing::WithParamInterface<Row> {
 protected:
  void write(char mark) { save(version(mark), path(GetParam().file), GetParam().options); }
  Checkpoint read() { return open(path(GetParam().opened)); }

  /// Saves one version after another until `stop`.
  std::thread writer(const std::atomic<bool>& stop) {
    return std::thread([this, &stop] {
      for (char mark = 'a'; !stop; mark = mark == 'z' ? 'a' : static_cast<char>(mark + 1)) EXPECT_NO_THROW(write(mark));
    });
  }
};

TEST_P(ReplacedFiles, ReadersSeeOneVersionAndKeepIt) {
  write('a');
  const Checkpoint first = read();
  std::atomic<bool> stop{false};
  std::thread writing = writer(stop);
  std::uint64_t wrong = 0, changes = 0;
  Checkpoint last = first;
  const test::Until end = test::end_of_test();
  std::uint64_t i = 0;
  for (; i < opens() && !test::is_over(end); ++i) {
    try {
      const char before = mark_of(last);
      Checkpoint now = read();
      changes += mark_of(now) != before ? 1 : 0;
      wrong += mark_of(last) != before ? 1 : 0;
      last = now;
    } catch (const std::exception& error) {
      ++wrong;
      ADD_FAILURE() << "open " << i << ": " << error.what();
      if (wrong > 3) break;
    }
  }
  stop = true;
  writing.join();
  EXPECT_EQ(wrong, 0U);
  EXPECT_GT(changes, 5U);
  EXPECT_EQ(mark_of(first), 'a');
  std::cout << "readers during replacing, " << GetParam().name << ": " << i << " opens, " << changes
            << " of another version, " << wrong << " wrong\n";
}

TEST_P(ReplacedFiles, ACheckpointIsSavedOverItself) {
  write('q');
  const Checkpoint mapped = read();
  save(snapshot(mapped), path(GetParam().file), GetParam().options);
  EXPECT_EQ(mark_of(mapped), 'q');
  EXPECT_EQ(mark_of(read()), 'q');
}

TEST_P(ReplacedFiles, TwoWritersLeaveOneWholeVersionAndNothingElse) {
  const std::size_t saves = opens() / 50;
  const test::Until end = test::end_of_test();
  const auto many = [&](char mark) {
    for (std::size_t i = 0; i < saves && !test::is_over(end); ++i) EXPECT_NO_THROW(write(mark));
  };
  std::thread other(many, 'x');
  many('y');
  other.join();
  const char mark = mark_of(read());
  EXPECT_TRUE(mark == 'x' || mark == 'y') << mark;
  write('z');
  EXPECT_EQ(mark_of(read()), 'z');
  EXPECT_EQ(entries(), GetParam().options.max_shard_bytes > 0 ? kTensors + 1 : 1U);
}

TEST_P(ReplacedFiles, WhatIsReadIsSavedAsTheSameBytes) {
  write('a');
  std::filesystem::create_directory(path("again"));
  save(snapshot(read()), path("again/" + std::string(GetParam().file)), GetParam().options);
  for (const auto& entry : std::filesystem::directory_iterator(path("again")))
    EXPECT_TRUE(test::get(entry.path().string()) == test::get(path(entry.path().filename().string()))) << entry.path();
}

INSTANTIATE_TEST_SUITE_P(
    Table, ReplacedFiles,
    testing::Values(Row{"safetensors", "m.safetensors", "m.safetensors", {.existing = Existing::Replace}},
                    Row{"zip", "m.pt", "m.pt", {.format = Format::PytorchZip, .existing = Existing::Replace}},
                    Row{"npz", "m.npz", "m.npz", {.format = Format::Npz, .existing = Existing::Replace}},
                    Row{"shards",
                        "m.safetensors",
                        "m.safetensors.index.json",
                        {.existing = Existing::Replace, .max_shard_bytes = kBytes}}),
    [](const auto& row) { return std::string(row.param.name); });

}  // namespace
}  // namespace tenon
