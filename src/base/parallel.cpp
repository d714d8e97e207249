#include "base/parallel.hpp"

#include <algorithm>
#include <atomic>
#include <exception>
#include <limits>
#include <memory>
#include <mutex>
#include <system_error>
#include <thread>
#include <utility>
#include <vector>

namespace tenon::base {

namespace {

constexpr std::size_t kWorkers = 2;  // memory is read at its full speed by two

class Tasks {
 public:
  Tasks(std::size_t count, const std::function<void(std::size_t)>& task) : count_(count), task_(task) {}

  void work() {
    for (std::size_t i = next_.fetch_add(1); i < count_; i = next_.fetch_add(1)) {
      try {
        task_(i);
      } catch (...) {
        keep(i, std::current_exception());
      }
    }
  }

  void throw_first() const {
    if (failed_) std::rethrow_exception(failed_);
  }

 private:
  void keep(std::size_t index, std::exception_ptr failed) {
    const std::lock_guard lock(mutex_);
    if (index >= failed_index_) return;
    failed_index_ = index;
    failed_ = std::move(failed);
  }

  std::size_t count_;
  const std::function<void(std::size_t)>& task_;
  std::atomic<std::size_t> next_ = 0;
  std::mutex mutex_;  ///< guards failed_ and failed_index_
  std::exception_ptr failed_;
  std::size_t failed_index_ = std::numeric_limits<std::size_t>::max();
};

/// Null where the system gives no further thread: then the caller's does all the work.
std::unique_ptr<std::jthread> start(Tasks& tasks) {
  try {
    return std::make_unique<std::jthread>([&tasks] { tasks.work(); });
  } catch (const std::system_error&) {
    return nullptr;
  }
}

}  // namespace

void parallel_for(std::size_t count, const std::function<void(std::size_t)>& task) {
  Tasks tasks(count, task);
  {
    std::vector<std::unique_ptr<std::jthread>> others;
    const std::size_t workers = std::min({count, kWorkers, std::size_t{std::max(1U, std::thread::hardware_concurrency())}});
    for (std::size_t i = 1; i < workers; ++i) others.push_back(start(tasks));
    tasks.work();
  }
  tasks.throw_first();
}

}  // namespace tenon::base
