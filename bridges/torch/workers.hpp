// Work shared out over two threads, as in the library itself: memory is moved at its full speed by two. They have ended
// when the call returns. LibTorch's own are no help: at::parallel_for is a template that runs on one thread where the
// program that includes it is not compiled with OpenMP, and torch::set_num_threads is about computing.
#pragma once

#include <atomic>
#include <cstddef>
#include <exception>
#include <system_error>
#include <thread>
#include <vector>

namespace tenon::torch_bridge {

/// Calls `task(0)` .. `task(count - 1)`, each once, in any order; each writes a slot of its own. A free thread takes
/// the next one, since tensors differ in size. Where tasks throw, the others still run and the lowest one's is thrown
/// on.
template <class Task>
void for_each_in_parallel(std::size_t count, const Task& task) {
  std::atomic<std::size_t> next = 0;
  std::vector<std::exception_ptr> failed(count);
  const auto work = [&] {
    for (std::size_t i = next++; i < count; i = next++) {
      try {
        task(i);
      } catch (...) {
        failed[i] = std::current_exception();
      }
    }
  };
  {
    std::jthread helper;
    try {
      if (count > 1) helper = std::jthread(work);
    } catch (const std::system_error&) {  // no further thread: this one does it all
    }
    work();
  }
  for (const std::exception_ptr& one : failed)
    if (one) std::rethrow_exception(one);
}

}  // namespace tenon::torch_bridge
