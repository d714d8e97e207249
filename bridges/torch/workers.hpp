// Work shared out over LibTorch's own threads, as many as torch::set_num_threads allows.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <vector>

#include <ATen/Parallel.h>

namespace tenon::torch_bridge {

/// Calls `task(0)` .. `task(count - 1)`, each once, in any order; each writes a slot of its own. A free thread takes
/// the next one, since tensors differ in size. Where tasks throw, the others still run and the lowest one's is thrown
/// on.
template <class Task>
void for_each_in_parallel(std::size_t count, const Task& task) {
  std::atomic<std::size_t> next = 0;
  std::vector<std::exception_ptr> failed(count);
  const auto work = [&](std::int64_t, std::int64_t) {
    for (std::size_t i = next++; i < count; i = next++) {
      try {
        task(i);
      } catch (...) {
        failed[i] = std::current_exception();
      }
    }
  };
  at::parallel_for(0, at::get_num_threads(), 1, work);
  for (const std::exception_ptr& one : failed)
    if (one) std::rethrow_exception(one);
}

}  // namespace tenon::torch_bridge
