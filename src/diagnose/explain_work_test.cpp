// The work of explain grows with a text and not with its square: counted, not timed.
#include <gtest/gtest.h>

#include <atomic>
#include <cstdlib>
#include <new>
#include <string>

#include <tenon/diagnose.hpp>

namespace tenon {
namespace {

/// What a run asks of the allocator, in calls: a measure of work that no load of the machine changes.
std::atomic<std::size_t> allocations{0};

std::size_t work_of(const std::string& text) {
  const std::size_t before = allocations;
  ExplainInput input;
  input.text = text;
  explain(input);
  return allocations - before;
}

std::string log_of(std::size_t rows, const std::string& leaf) {
  std::string text = "RuntimeError: Error(s) in loading state_dict for Net:\n";
  for (std::size_t i = 0; i < rows; ++i)
    text += "\tsize mismatch for block." + std::to_string(i) + "." + leaf +
            ": copying a param with shape torch.Size([" + std::to_string(100 + i) +
            ", 64]) from checkpoint, the shape in current model is torch.Size([20, 64]).\n";
  return text;
}

/// Twice the rows may cost a little more than twice the work; a comparison of all with all costs four times as much.
TEST(Explain, WorkGrowsWithTheLogAndNotWithItsSquare) {
  for (const char* leaf : {"head.weight", "embed.weight", "conv.weight"}) {
    work_of(log_of(10, leaf));  // tables that are made once
    const std::size_t one = work_of(log_of(1'000, leaf)), two = work_of(log_of(2'000, leaf));
    EXPECT_LT(two, one * 5 / 2) << leaf << ": " << one << ", " << two;
  }
}

/// Each line is a heading's words, and an element of the list below the line before.
TEST(Explain, HeadingsWithinAListDoNotReadItAgain) {
  for (const char* row : {".b,key,missing.x", ",key,missing,x"}) {
    const auto log = [&](std::size_t rows) {
      std::string text = "RuntimeError\n";
      for (std::size_t i = 0; i < rows; ++i) text += "a" + std::to_string(i) + row + std::to_string(i) + "\n";
      return text;
    };
    const std::size_t one = work_of(log(500)), two = work_of(log(1'000));
    EXPECT_LT(two, one * 5 / 2) << row << ": " << one << ", " << two;
  }
}

}  // namespace
}  // namespace tenon

// The binary's allocator counts for work_of(). Kept apart from its callers: a compiler that sees both sides takes the
// pair for a mismatch.
[[gnu::noinline]] void* operator new(std::size_t size) {
  ++tenon::allocations;
  if (void* memory = std::malloc(size)) return memory;
  throw std::bad_alloc();
}
[[gnu::noinline]] void* operator new(std::size_t size, const std::nothrow_t&) noexcept {
  ++tenon::allocations;
  return std::malloc(size);
}
[[gnu::noinline]] void operator delete(void* memory) noexcept { std::free(memory); }
[[gnu::noinline]] void operator delete(void* memory, std::size_t) noexcept { std::free(memory); }
