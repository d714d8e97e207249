#include <tenon/async_save.hpp>

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <cstring>
#include <set>
#include <stdexcept>
#include <thread>

#include <tenon/checkpoint.hpp>

#include "support/folder.hpp"

namespace tenon {
namespace {

using AsyncSave = test::TemporaryFolder;

/// A model of two megabytes whose every byte is `mark`, as its owner may change it at any time.
struct Model {
  std::vector<std::byte> bytes = std::vector<std::byte>(std::size_t{2} << 20U);
  void fill(char mark) { std::memset(bytes.data(), mark, bytes.size()); }

  Snapshot snapshot() {
    Snapshot all;
    Tensor tensor;
    tensor.dtype = DType::UInt8;
    tensor.shape = {static_cast<std::int64_t>(bytes.size())};
    tensor.stride = {1};
    tensor.storage = bytes;
    for (const char* name : {"a", "b"}) add_tensor(all, name, tensor);
    return all;
  }
};

std::set<char> marks_in(const std::string& path) {
  const Checkpoint checkpoint = open(path);
  std::set<char> marks;
  for (std::size_t i = 0; i < checkpoint.tensors().size(); ++i)
    for (const std::byte byte : checkpoint.tensor(i).storage) marks.insert(static_cast<char>(byte));
  return marks;
}

/// Holds the writing thread until it is told to go on.
struct Gate {
  std::atomic<bool> is_open{false};
  std::atomic<bool> is_reached{false};
  Progress progress() {
    return [this](std::uint64_t, std::uint64_t) {
      is_reached = true;
      while (!is_open) std::this_thread::yield();
    };
  }
  void wait() const {
    while (!is_reached) std::this_thread::yield();
  }
};

TEST_F(AsyncSave, TheFileIsWhatTheModelWasWhenSaveWasCalled) {
  for (const Format format : {Format::Safetensors, Format::PytorchZip}) {
    Model model;
    model.fill('x');
    AsyncSaver saver;
    Gate gate;
    saver.save(model.snapshot(), path("m"), {.format = format, .progress = gate.progress()});
    model.fill('y');
    EXPECT_TRUE(saver.is_writing());
    gate.is_open = true;
    const auto report = saver.wait();
    ASSERT_TRUE(report);
    EXPECT_EQ(report->path, path("m"));
    EXPECT_FALSE(saver.is_writing());
    EXPECT_EQ(marks_in(path("m")), std::set<char>{'x'});
    EXPECT_FALSE(saver.wait()) << "a report is given once";
    std::filesystem::remove(path("m"));
  }
}

TEST_F(AsyncSave, AFailureReachesTheCallerOnce) {
  Model model;
  AsyncSaver saver;
  std::filesystem::create_directory(path("sub"));
  Gate gate;
  saver.save(model.snapshot(), path("sub/m"), {.progress = gate.progress()});
  gate.wait();
  std::filesystem::remove_all(path("sub"));
  gate.is_open = true;
  EXPECT_THROW(saver.wait(), Error);
  EXPECT_FALSE(saver.wait());
}

TEST_F(AsyncSave, TheNextSaveTellsOfTheFailureOfTheOneBefore) {
  Model model;
  AsyncSaver saver;
  saver.save(model.snapshot(), path("m"), {.progress = [](auto, auto) { throw std::runtime_error("no"); }});
  EXPECT_THROW(saver.save(model.snapshot(), path("n")), std::runtime_error);
  EXPECT_EQ(entries(), 0U);
  saver.save(model.snapshot(), path("n"));
  EXPECT_TRUE(saver.wait());
}

TEST_F(AsyncSave, WhatSaveRefusesIsRefusedAtOnce) {
  AsyncSaver saver;
  EXPECT_THROW(saver.save(Snapshot{}, path("m")), Error);
  EXPECT_FALSE(saver.is_writing());
}

TEST_F(AsyncSave, ASecondSaveWaitsForTheFirst) {
  Model model;
  model.fill('x');
  AsyncSaver saver;
  saver.save(model.snapshot(), path("first"));
  model.fill('y');
  saver.save(model.snapshot(), path("second"));
  saver.wait();
  EXPECT_EQ(marks_in(path("first")), std::set<char>{'x'});
  EXPECT_EQ(marks_in(path("second")), std::set<char>{'y'});
}

TEST_F(AsyncSave, ASecondSaveReplacesTheFirst) {
  Model model;
  AsyncSaver saver;
  Gate gate;
  saver.save(model.snapshot(), path("first"), {.progress = gate.progress()});
  gate.wait();
  model.fill('y');
  // The gate opens while save() waits for the first one to give up.
  std::thread opener([&] {
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
    gate.is_open = true;
  });
  saver.save(model.snapshot(), path("second"), {}, Busy::Replace);
  opener.join();
  EXPECT_TRUE(saver.wait());
  EXPECT_FALSE(std::filesystem::exists(path("first")));
  EXPECT_EQ(marks_in(path("second")), std::set<char>{'y'});
  EXPECT_EQ(entries(), 1U) << "nothing of the first is left";
}

TEST_F(AsyncSave, ARelativePathIsMeantFromTheFolderOfTheCall) {
  const auto before = std::filesystem::current_path();
  for (const char* name : {"one", "two"}) std::filesystem::create_directory(path(name));
  std::filesystem::current_path(path("one"));
  Model model;
  Gate gate;
  AsyncSaver saver;
  saver.save(model.snapshot(), "m", {.progress = gate.progress()});
  gate.wait();
  std::filesystem::current_path(path("two"));
  gate.is_open = true;
  const auto report = saver.wait();
  std::filesystem::current_path(before);
  ASSERT_TRUE(report);
  EXPECT_EQ(report->path, path("one/m"));
  EXPECT_TRUE(std::filesystem::exists(path("one/m")));
  EXPECT_TRUE(std::filesystem::is_empty(path("two")));
}

TEST_F(AsyncSave, TheEndOfTheProcessWaits) {
  const pid_t child = ::fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    Model model;
    auto* never_destroyed = new AsyncSaver;
    never_destroyed->save(model.snapshot(), path("m"), {.progress = [](auto, auto) {
                            std::this_thread::sleep_for(std::chrono::milliseconds(100));
                          }});
    std::exit(0);
  }
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_EQ(status, 0);
  EXPECT_EQ(marks_in(path("m")), std::set<char>{'\0'});
  EXPECT_EQ(entries(), 1U);
}

TEST_F(AsyncSave, AProgressFunctionMayEndTheProcess) {
  const pid_t child = ::fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    ::alarm(20);  // a wait for itself would never end
    Model model;
    AsyncSaver saver;
    saver.save(model.snapshot(), path("m"), {.progress = [](auto, auto) { std::exit(7); }});
    saver.wait();
    ::_exit(1);
  }
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 7) << status;
  EXPECT_FALSE(std::filesystem::exists(path("m")));
}

TEST_F(AsyncSave, TensorsThatShareBytesShareThemInTheFile) {
  Model model;
  Snapshot snapshot = model.snapshot();
  for (SnapshotTensor& tensor : snapshot.tensors) tensor.storage = 7;
  AsyncSaver saver;
  saver.save(snapshot, path("m"), {.format = Format::PytorchZip});
  const auto report = saver.wait();
  ASSERT_TRUE(report);
  EXPECT_LT(report->file_bytes, model.bytes.size() + 5'000);
}

}  // namespace
}  // namespace tenon
