// FaultyFs: any Fs, whose calls are counted and can be made to fail, to stop short or to be the last that a process
// makes.
#pragma once

#include <cerrno>
#include <cstdint>
#include <functional>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "io/fs.hpp"

namespace tenon::test {

/// The calls that can go wrong on their own; asking (state, list, ...) counts for killing only.
enum class Call : std::uint8_t {
  Ask,
  Create,
  Open,
  Write,
  Read,
  Allocate,
  Sync,
  SyncFolder,
  Close,
  Lock,
  Attributes,
  Rename,
  Unlink
};
inline constexpr std::string_view kCallNames[] = {"ask",        "create", "open",        "write", "read",
                                                  "allocate",   "sync",   "sync_folder", "close", "lock",
                                                  "attributes", "rename", "unlink"};

/// What happens instead of a call. After Kill this and every later call does nothing: whatever the program believes
/// then, nobody hears of it. A Lie is a rename that happens and is said to have failed, as over NFS when the answer is
/// lost and the request sent again.
struct Fault {
  enum class Kind : std::uint8_t { Error, Short, Kill, Lie } kind = Kind::Error;
  int error = EIO;
};

class FaultyFs final : public io::Fs {
 public:
  /// `choose(n, call)` decides about the n-th call, counted from 1.
  using Choose = std::function<std::optional<Fault>(std::uint64_t n, Call call)>;
  FaultyFs(io::Fs& inner, Choose choose) : inner_(inner), choose_(std::move(choose)) {}

  std::uint64_t calls() const { return calls_; }
  std::uint64_t faults() const { return faults_; }
  bool is_dead() const { return is_dead_; }
  /// Called when a sync or a close was made to fail, with its file: a real failure loses bytes.
  std::function<void(int file, Call call)> on_lost;

  int create(const std::string& path, io::Readers readers) override {
    const int failed = before(Call::Create);
    if (failed < 0) return failed;
    const int file = inner_.create(path, readers);
    written_.insert(file);
    return file;
  }
  int open_for_reading(const std::string& path) override {
    const int failed = before(Call::Open);
    return failed < 0 ? failed : inner_.open_for_reading(path);
  }
  int open_folder(const std::string& path) override {
    const int failed = before(Call::Open);
    if (failed < 0) return failed;
    const int folder = inner_.open_folder(path);
    folders_.push_back(folder);
    return folder;
  }
  ssize_t write(int file, std::span<const std::byte> bytes, std::uint64_t offset) override {
    const int failed = before(Call::Write);
    if (failed < 0) return failed;
    return inner_.write(file, is_short_ ? bytes.first((bytes.size() + 1) / 2) : bytes, offset);
  }
  ssize_t read(int file, std::span<std::byte> bytes, std::uint64_t offset) override {
    const int failed = before(Call::Read);
    if (failed < 0) return failed;
    return inner_.read(file, is_short_ ? bytes.first((bytes.size() + 1) / 2) : bytes, offset);
  }
  int allocate(int file, std::uint64_t bytes) override {
    const int failed = before(Call::Allocate);
    return failed < 0 ? failed : inner_.allocate(file, bytes);
  }
  void start_writing_out(int file, std::uint64_t offset, std::uint64_t bytes) override {
    if (before(Call::Ask) == 0) inner_.start_writing_out(file, offset, bytes);
  }
  int sync(int file) override {
    bool is_folder = false;
    for (const int folder : folders_) is_folder = is_folder || folder == file;
    const int failed = before(is_folder ? Call::SyncFolder : Call::Sync);
    if (failed < 0 && !is_folder && !is_dead_ && on_lost) on_lost(file, Call::Sync);
    return failed < 0 ? failed : inner_.sync(file);
  }
  int close(int file) override {
    const int failed = before(Call::Close);
    if (failed < 0 && !is_dead_ && on_lost && written_.contains(file)) on_lost(file, Call::Close);
    if (is_dead_) return failed;
    std::erase(folders_, file);
    written_.erase(file);
    const int result = inner_.close(file);  // a close that fails has closed all the same
    return failed < 0 ? failed : result;
  }
  int lock(int file) override {
    const int failed = before(Call::Lock);
    return failed < 0 ? failed : inner_.lock(file);
  }
  std::optional<io::FileState> state(int file) override {
    return before(Call::Ask) < 0 ? std::nullopt : inner_.state(file);
  }
  int link_count(int file) override {
    const int failed = before(Call::Ask);
    return failed < 0 ? failed : inner_.link_count(file);
  }
  int keep_attributes(const std::string& path, int file) override {
    const int failed = before(Call::Attributes);
    return failed < 0 ? failed : inner_.keep_attributes(path, file);
  }
  int rename(const std::string& from, const std::string& to, io::Overwrite overwrite) override {
    const int failed = before(Call::Rename);
    if (failed < 0) return failed;
    const int result = inner_.rename(from, to, overwrite);
    return result == 0 && is_lie_ ? -ENOENT : result;
  }
  int unlink(const std::string& path) override {
    const int failed = before(Call::Unlink);
    return failed < 0 ? failed : inner_.unlink(path);
  }
  std::optional<io::FileState> state(const std::string& path) override {
    return before(Call::Ask) < 0 ? std::nullopt : inner_.state(path);
  }
  int look(const std::string& path) override {
    const int failed = before(Call::Ask);
    return failed < 0 ? failed : inner_.look(path);
  }
  std::optional<std::string> read_link(const std::string& path) override {
    return before(Call::Ask) < 0 ? std::nullopt : inner_.read_link(path);
  }
  std::vector<std::string> list(const std::string& folder) override {
    return before(Call::Ask) < 0 ? std::vector<std::string>{} : inner_.list(folder);
  }
  std::optional<std::uint64_t> free_bytes(const std::string& folder) override {
    return before(Call::Ask) < 0 ? std::nullopt : inner_.free_bytes(folder);
  }
  std::optional<std::uint64_t> free_files(const std::string& folder) override {
    return before(Call::Ask) < 0 ? std::nullopt : inner_.free_files(folder);
  }
  std::string unsure_kind(const std::string& folder) override { return inner_.unsure_kind(folder); }
  std::string writer() override { return inner_.writer(); }
  bool is_gone(std::string_view writer) override { return inner_.is_gone(writer); }

 private:
  /// 0, or the error to give instead.
  int before(Call call) {
    if (is_dead_) return -EIO;
    is_short_ = is_lie_ = false;
    const auto fault = choose_(++calls_, call);
    if (!fault) return 0;
    ++faults_;
    if (fault->kind == Fault::Kind::Kill) {
      is_dead_ = true;
      return -EIO;
    }
    if (fault->kind == Fault::Kind::Short) {
      is_short_ = true;
      return 0;
    }
    if (fault->kind == Fault::Kind::Lie) {
      is_lie_ = true;
      return 0;
    }
    return -fault->error;
  }

  io::Fs& inner_;
  Choose choose_;
  std::vector<int> folders_;
  std::set<int> written_;  ///< what was opened for writing
  std::uint64_t calls_ = 0;
  std::uint64_t faults_ = 0;
  bool is_dead_ = false;
  bool is_short_ = false;
  bool is_lie_ = false;
};

}  // namespace tenon::test
