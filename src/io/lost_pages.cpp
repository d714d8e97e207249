#include "io/lost_pages.hpp"

#include <sys/mman.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <csignal>
#include <cstdint>

#include <tenon/error.hpp>

namespace tenon::io {

namespace {

/// A mapped range. The handler may look at it at any moment, so that it is no container with a lock.
struct Slot {
  std::atomic<bool> is_taken = false;
  std::atomic<std::uintptr_t> begin = 0, end = 0;  ///< equal while it says nothing
  std::atomic<const char*> path = nullptr;
};

// Files beyond that many are read as well, and end the program where they lose pages.
constexpr std::size_t kSlots = 1024;
std::array<Slot, kSlots> slots;

enum class Lost : int { No, BeingNoted, Yes };
std::atomic<Lost> lost = Lost::No;
std::array<char, 1024> lost_path;  ///< whose beginning it is, when `lost` is Yes
std::uintptr_t page_bytes = 4096;

const Slot* slot_of(std::uintptr_t address) {
  for (const Slot& slot : slots)
    if (address >= slot.begin.load() && address < slot.end.load()) return &slot;
  return nullptr;
}

void note(const Slot& slot) {
  Lost before = Lost::No;
  if (!lost.compare_exchange_strong(before, Lost::BeingNoted)) return;
  const char* from = slot.path.load();
  std::size_t i = 0;
  for (; i + 1 < lost_path.size() && from[i] != '\0'; ++i) lost_path[i] = from[i];
  lost_path[i] = '\0';
  lost.store(Lost::Yes);
}

extern "C" void on_lost_page(int signal, siginfo_t* info, void*) {
  const auto address = reinterpret_cast<std::uintptr_t>(info->si_addr);
  const Slot* slot = info->si_code == BUS_ADRERR ? slot_of(address) : nullptr;
  void* const page = reinterpret_cast<void*>(address & ~(page_bytes - 1));
  if (slot != nullptr &&
      ::mmap(page, page_bytes, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) != MAP_FAILED)
    return note(*slot);
  std::signal(signal, SIG_DFL);  // no page of a checkpoint: the instruction runs again, and ends the program
}

}  // namespace

void outlive_lost_pages() {
  page_bytes = static_cast<std::uintptr_t>(::sysconf(_SC_PAGESIZE));
  struct sigaction action {};
  action.sa_sigaction = on_lost_page;
  action.sa_flags = SA_SIGINFO;
  ::sigemptyset(&action.sa_mask);
  ::sigaction(SIGBUS, &action, nullptr);
}

void throw_if_pages_were_lost() {
  if (lost.load() != Lost::Yes) return;
  const std::string path(lost_path.data());
  lost.store(Lost::No);
  throw Error(Code::Read, {path, {}, {}, {}},
              "the file changed while it was read: a part of it is gone, or its disk cannot read it", {}, {},
              "run the command again when its writer is done");
}

MappedRange::MappedRange(std::span<const std::byte> bytes, const std::string& path) : slot_(0) {
  for (; slot_ < kSlots; ++slot_) {
    bool is_taken = false;
    if (slots[slot_].is_taken.compare_exchange_strong(is_taken, true)) break;
  }
  if (slot_ == kSlots) return;
  const auto begin = reinterpret_cast<std::uintptr_t>(bytes.data());
  slots[slot_].path = path.c_str();
  slots[slot_].begin = begin;
  slots[slot_].end = begin + bytes.size();
}

MappedRange::~MappedRange() {
  if (slot_ == kSlots) return;
  slots[slot_].end = 0;
  slots[slot_].begin = 0;
  slots[slot_].is_taken = false;
}

}  // namespace tenon::io
