#include <tenon/async_save.hpp>

#include <atomic>
#include <cstdlib>
#include <exception>
#include <filesystem>
#include <functional>
#include <map>
#include <mutex>
#include <system_error>
#include <thread>
#include <utility>

#include <tenon/error.hpp>

#include "io/arena.hpp"
#include "save/memory_copy.hpp"

namespace tenon {

struct AsyncSaver::State {
  io::Arena arena;
  std::mutex joining;  ///< guards the thread, which the end of the process joins as well
  std::thread thread;
  std::atomic<std::thread::id> writer;  ///< while it writes
  std::mutex mutex;                     ///< guards the three below
  bool is_writing = false;
  std::optional<SaveReport> report;
  std::exception_ptr error;
  std::atomic<bool> is_given_up{false};

  void join() {
    const std::lock_guard lock(joining);
    if (thread.joinable()) thread.join();
  }

  /// Where a progress function calls exit(), the writer cannot wait for itself.
  void join_at_exit() {
    if (writer != std::this_thread::get_id()) join();
  }

  void write(const Snapshot& snapshot, const std::string& path, const SaveOptions& options) {
    writer = std::this_thread::get_id();
    std::optional<SaveReport> written;
    std::exception_ptr failed;
    try {
      written = tenon::save(snapshot, path, options);
    } catch (...) {
      failed = std::current_exception();
    }
    const std::lock_guard lock(mutex);
    is_writing = false;
    if (!is_given_up) {
      report = std::move(written);
      error = failed;
    }
    writer = std::thread::id{};
  }

  void throw_error() {
    const std::lock_guard lock(mutex);
    if (error) std::rethrow_exception(std::exchange(error, nullptr));
  }
};

namespace {

/// The savers that live, so that the end of the process can wait for what they write: main() may return, or exit() be
/// called, while one stands on a stack that is never unwound.
class LivingSavers {
 public:
  static LivingSavers& get() {
    static auto* const only = new LivingSavers;  // outlives every static object that has a saver
    return *only;
  }
  void add(std::function<void()> wait, const void* saver) {
    const std::lock_guard lock(mutex_);
    savers_.emplace(saver, std::move(wait));
  }
  void remove(const void* saver) {
    const std::lock_guard lock(mutex_);
    savers_.erase(saver);
  }

 private:
  LivingSavers() {
    std::atexit([] { get().wait(); });
  }
  void wait() {
    const std::lock_guard lock(mutex_);
    for (const auto& [saver, wait_for] : savers_) wait_for();
  }
  std::mutex mutex_;
  std::map<const void*, std::function<void()>> savers_;
};

}  // namespace

AsyncSaver::AsyncSaver() : state_(std::make_unique<State>()) {
  LivingSavers::get().add([state = state_.get()] { state->join_at_exit(); }, state_.get());
}

AsyncSaver::~AsyncSaver() {
  state_->join();
  LivingSavers::get().remove(state_.get());
}

void AsyncSaver::save(const Snapshot& snapshot, const std::string& path, const SaveOptions& options, Busy busy) {
  rehearse_save(snapshot, path, options);
  state_->is_given_up = busy == Busy::Replace;
  state_->join();
  state_->is_given_up = false;
  state_->throw_error();
  // The program may change its folder while the thread writes.
  std::error_code unknown_folder;
  std::string whole = std::filesystem::absolute(path, unknown_folder).string();
  if (unknown_folder) whole = path;
  Snapshot copy = saving::copied_into(state_->arena, snapshot);
  SaveOptions quiet = options;
  quiet.progress = [state = state_.get(), tell = options.progress](std::uint64_t done, std::uint64_t all) {
    if (state->is_given_up) throw Error(Code::Cancelled, {}, "the save was given up for a newer one");
    if (tell) tell(done, all);
  };
  state_->report.reset();
  state_->is_writing = true;
  try {
    const std::lock_guard lock(state_->joining);
    state_->thread = std::thread([state = state_.get(), copy = std::move(copy), whole = std::move(whole),
                                  quiet = std::move(quiet)] { state->write(copy, whole, quiet); });
  } catch (...) {  // no thread is to be had
    state_->is_writing = false;
    throw;
  }
}

std::optional<SaveReport> AsyncSaver::wait() {
  state_->join();
  state_->throw_error();
  const std::lock_guard lock(state_->mutex);
  return std::exchange(state_->report, std::nullopt);
}

bool AsyncSaver::is_writing() const {
  const std::lock_guard lock(state_->mutex);
  return state_->is_writing;
}

}  // namespace tenon
