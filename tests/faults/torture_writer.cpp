// torture_writer: saves, reads and watches checkpoints on real file systems, for scripts/torture to kill and to starve.
//
//   torture_writer [--at N kill|stop|fail] save WRITER VERSION BYTES   saves into ./d; prints `saved VERSION` when done
//   torture_writer storm WRITER VERSION BYTES     saves VERSION, the next letter, ... until it is killed
//   torture_writer read PATH                      `VERSION: T tensors, B bytes`; `-` for nothing; `? why` for no
//   version torture_writer watch STATE PATH [...]         reads until its input ends; tells what is no version of that
//   STATE torture_writer writers                        names of the bad writers, one a line
//
// WRITER is `single`, `zip`, `sharded` (BYTES are those of a tensor, one tensor a file, three shards) or a bad writer's
// name. --at N: at the N-th call of Fs the process kills or stops itself; or that call, where it is one that can
// fail, fails with EIO and did nothing.
#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <iostream>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include <fmt/format.h>
#include <tenon/checkpoint.hpp>

#include "faults/faulty_fs.hpp"
#include "faults/writers.hpp"
#include "io/fs.hpp"

namespace tenon::test {
namespace {

using Arguments = std::vector<std::string>;

constexpr std::size_t kShards = 3;

/// What a reader saw: `b: 3 tensors, 9000 bytes`.
struct Reading {
  std::string text;
  std::optional<Checkpoint> checkpoint;  ///< kept, so that the mapping can be read again later
};

/// The one byte that all tensors are full of. Throws for any other content.
char mark_of(const Checkpoint& checkpoint) {
  std::optional<std::byte> mark;
  for (std::size_t i = 0; i < checkpoint.tensors().size(); ++i) {
    const Tensor tensor = checkpoint.tensor(i);
    for (const std::byte byte : tensor.storage.subspan(tensor.offset_bytes, byte_size(tensor.shape, tensor.dtype))) {
      if (!mark) mark = byte;
      if (byte != *mark) throw std::runtime_error("tensor " + checkpoint.tensors()[i].name + " has other bytes");
    }
  }
  if (!mark) throw std::runtime_error("no bytes");
  return static_cast<char>(*mark);
}

std::string state_of(const Checkpoint& checkpoint) {
  std::uint64_t bytes = 0;
  for (const TensorInfo& tensor : checkpoint.tensors()) bytes += byte_size(tensor.shape, tensor.dtype);
  return fmt::format("{} tensors, {} bytes", checkpoint.tensors().size(), bytes);
}

Reading reading(const std::string& path) {
  if (!std::filesystem::exists(path)) return {"-", {}};
  try {
    Checkpoint checkpoint = open(path);
    std::string text = fmt::format("{}: {}", mark_of(checkpoint), state_of(checkpoint));
    return {std::move(text), std::move(checkpoint)};
  } catch (const std::exception& error) {
    return {std::string("? ") + error.what(), {}};
  }
}

Writer writer_called(const std::string& name, std::size_t bytes) {
  if (name == "single") return single_writer(bytes, false);
  if (name == "zip") return single_writer(bytes, true);
  if (name == "sharded") return sharded_writer(kShards, bytes);
  for (Writer& writer : bad_writers())
    if (writer.name == name) return std::move(writer);
  throw std::runtime_error("no writer is called " + name);
}

/// Past every buffer: when the caller reads it, the save has returned.
void say(const std::string& line) { static_cast<void>(::write(STDOUT_FILENO, line.data(), line.size()) == 0); }

FaultyFs::Choose fault_at(std::uint64_t at, const std::string& action) {
  return [=](std::uint64_t n, Call call) -> std::optional<Fault> {
    if (n != at) return std::nullopt;
    if (action == "kill") ::raise(SIGKILL);
    if (action == "stop") ::raise(SIGSTOP);
    if (action == "fail" && call != Call::Ask) return Fault{Fault::Kind::Error, EIO};
    return std::nullopt;
  };
}

int save(Arguments words, std::uint64_t at, const std::string& action) {
  const Writer writer = writer_called(words.at(1), std::stoul(words.at(3)));
  FaultyFs fs(io::system_fs(), fault_at(at, action));
  const char version = words.at(2).at(0);
  try {
    writer.save(fs, {version});
  } catch (const std::exception& error) {
    say(fmt::format("refused {}: {}\n", fs.calls(), error.what()));
    return 4;
  }
  say(fmt::format("saved {} {}\n", version, fs.calls()));
  return 0;
}

int storm(const Arguments& words) {
  const Writer writer = writer_called(words.at(1), std::stoul(words.at(3)));
  for (char version = words.at(2).at(0);; version = version == 'z' ? 'a' : static_cast<char>(version + 1)) {
    writer.save(io::system_fs(), {version});
    say(fmt::format("saved {}\n", version));
  }
}

bool input_has_ended() {
  pollfd input{STDIN_FILENO, POLLIN, 0};
  return ::poll(&input, 1, 0) > 0;
}

/// A reader that lives long. What it opened last stays open while the next is opened: the file that was replaced
/// meanwhile must still read as it did.
int watch(const Arguments& words) {
  std::uint64_t reads = 0;
  Reading last;
  while (!input_has_ended())
    for (std::size_t i = 1; i + 1 < words.size(); i += 2) {
      Reading now = reading(words[i + 1]);
      ++reads;
      if (!now.text.ends_with(": " + words[i])) say(fmt::format("{}: {}\n", words[i + 1], now.text));
      if (last.checkpoint && last.text[0] != mark_of(*last.checkpoint)) say("an open checkpoint changed\n");
      last = std::move(now);
    }
  say(fmt::format("reads {}\n", reads));
  return 0;
}

int run(Arguments words) {
  std::uint64_t at = 0;
  std::string action;
  if (words.size() > 3 && words[0] == "--at") {
    at = std::stoull(words[1]);
    action = words[2];
    words.erase(words.begin(), words.begin() + 3);
  }
  const std::string command = words.empty() ? "" : words[0];
  if (command == "save") return save(words, at, action);
  if (command == "storm") return storm(words);
  if (command == "watch") return watch(words);
  if (command == "read") {
    say(reading(words.at(1)).text + "\n");
    return 0;
  }
  if (command == "writers") {
    for (const Writer& writer : bad_writers()) say(writer.name + "\n");
    return 0;
  }
  throw std::runtime_error("usage: torture_writer save|storm|read|watch|writers ...");
}

}  // namespace
}  // namespace tenon::test

int main(int count, char** arguments) {
  std::signal(SIGXFSZ, SIG_IGN);
  try {
    return tenon::test::run({arguments + 1, arguments + count});
  } catch (const std::exception& error) {
    std::cerr << "torture_writer: " << error.what() << "\n";
    return 2;
  }
}
