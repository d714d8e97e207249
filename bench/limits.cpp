// What this machine can do at best, measured beside the rest: nothing here knows tenon or PyTorch.
//
//   memcpy                   512 MiB between two warm buffers: the yardstick of a quiet machine
//   pread FILE THREADS       the file from the page cache into warm memory
//   touch FILE               the file mapped, every byte summed
//   memcmp A B               two files mapped and compared
//   walk FILE                the metadata of a PyTorch zip: end record, directory, every pickle opcode; no objects
//   write FILE BYTES         O_DIRECT from warm memory into allocated space, fsync, then removed
//   warm BYTES               anonymous memory written once: pages that the host never backed are slow to touch
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <stdexcept>
#include <string_view>
#include <system_error>
#include <thread>

#include "serve.hpp"

namespace {

using bench::Answer;
using bench::Arguments;

constexpr std::size_t kBlock = std::size_t{8} << 20U;

[[noreturn]] void fail(const std::string& what) { throw std::system_error(errno, std::generic_category(), what); }

struct Mapping {
  const char* data = nullptr;
  std::size_t size = 0;
  explicit Mapping(const std::string& path) {
    const int descriptor = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
    struct stat status {};
    if (descriptor < 0 || ::fstat(descriptor, &status) != 0) fail(path);
    size = static_cast<std::size_t>(status.st_size);
    void* start = ::mmap(nullptr, size, PROT_READ, MAP_PRIVATE, descriptor, 0);
    ::close(descriptor);
    if (start == MAP_FAILED) fail(path);
    data = static_cast<const char*>(start);
  }
  Mapping(const Mapping&) = delete;
  Mapping& operator=(const Mapping&) = delete;
  ~Mapping() { ::munmap(const_cast<char*>(data), size); }
};

/// Page-aligned memory that has been written to and is kept from one command to the next.
char* warm_memory(std::size_t bytes) {
  static std::unique_ptr<char, decltype(&std::free)> memory(nullptr, &std::free);
  static std::size_t size = 0;
  if (size < bytes) {
    memory.reset(static_cast<char*>(std::aligned_alloc(4096, (bytes + 4095) / 4096 * 4096)));
    if (!memory) throw std::bad_alloc();
    std::memset(memory.get(), 1, bytes);
    size = bytes;
  }
  return memory.get();
}

std::uint64_t sum_of(const char* data, std::size_t size) {
  std::uint64_t sum = 0;
  for (std::size_t at = 0; at + 8 <= size; at += 8) {
    std::uint64_t word = 0;
    std::memcpy(&word, data + at, 8);
    sum += word;
  }
  return sum;
}

Answer copy_memory(const Arguments&) {
  constexpr std::size_t kBuffer = std::size_t{64} << 20U;
  static std::vector<char> from(kBuffer, 1), to(kBuffer, 2);
  return {{"seconds", bench::seconds_of([] {
             for (int i = 0; i < 8; ++i) std::memcpy(to.data(), from.data(), kBuffer);
           })}};
}

void read_part(int descriptor, char* out, std::size_t begin, std::size_t end) {
  while (begin < end) {
    const ssize_t count = ::pread(descriptor, out + begin, std::min(kBlock, end - begin), static_cast<off_t>(begin));
    if (count <= 0) return;
    begin += static_cast<std::size_t>(count);
  }
}

Answer read_warm(const Arguments& given) {
  const int descriptor = ::open(given.at(0).c_str(), O_RDONLY | O_CLOEXEC);
  struct stat status {};
  if (descriptor < 0 || ::fstat(descriptor, &status) != 0) fail(given[0]);
  const auto size = static_cast<std::size_t>(status.st_size), threads = std::stoul(given.at(1));
  char* out = warm_memory(size);
  const double seconds = bench::seconds_of([&] {
    std::vector<std::jthread> workers;
    for (std::size_t i = 0; i < threads; ++i)
      workers.emplace_back([=] { read_part(descriptor, out, size * i / threads, size * (i + 1) / threads); });
  });
  ::close(descriptor);
  return {{"seconds", seconds}, {"bytes", static_cast<double>(size)}};
}

Answer touch(const Arguments& given) {
  volatile std::uint64_t sum = 0;
  return {{"seconds", bench::seconds_of([&] {
             const Mapping file(given.at(0));
             sum = sum_of(file.data, file.size);
           })}};
}

Answer compare(const Arguments& given) {
  bool same = false;
  const double seconds = bench::seconds_of([&] {
    const Mapping a(given.at(0)), b(given.at(1));
    same = a.size == b.size && std::memcmp(a.data, b.data, a.size) == 0;
  });
  return {{"seconds", seconds}, {"same", same ? 1 : 0}};
}

template <class Number>
Number number_at(const char* data) {
  Number number{};
  std::memcpy(&number, data, sizeof number);
  return number;
}

/// Bytes of the argument behind an opcode of pickle protocols 0 to 5, as far as torch.save writes them.
std::size_t argument_bytes(const char* at, const char* end) {
  const auto line = [&] { return static_cast<std::size_t>(std::find(at + 1, end, '\n') - at); };
  switch (*at) {
    case '\x80':
    case 'K':
    case 'h':
    case 'q':
    case '\x82': return 1;
    case 'M':
    case '\x83': return 2;
    case 'J':
    case 'j':
    case 'r': return 4;
    case 'G':
    case '\x95': return 8;
    case '\x8a':
    case '\x8c':
    case 'U':
    case 'C': return 1U + number_at<std::uint8_t>(at + 1);
    case 'X':
    case 'T':
    case 'B': return 4U + number_at<std::uint32_t>(at + 1);
    case 'c': {
      const std::size_t first = line();
      return first + static_cast<std::size_t>(std::find(at + 1 + first, end, '\n') - (at + first));
    }
    case 'I':
    case 'L':
    case 'S':
    case 'V':
    case 'F':
    case 'g':
    case 'p': return line();
    default: return 0;
  }
}

std::uint64_t walk_pickle(const char* at, const char* end) {
  std::uint64_t opcodes = 0;
  for (; at < end && *at != '.'; ++opcodes) at += 1 + argument_bytes(at, end);
  return opcodes;
}

struct Directory {
  std::uint64_t offset = 0, count = 0;
};

Directory directory_of(const Mapping& file) {
  const std::string_view bytes(file.data, file.size);
  const std::size_t end = bytes.rfind("PK\5\6");
  if (end == std::string_view::npos) throw std::runtime_error("no zip archive");
  if (end >= 20 && bytes.substr(end - 20, 4) == "PK\6\7") {  // zip64
    const char* wide = file.data + number_at<std::uint64_t>(file.data + end - 12);
    return {number_at<std::uint64_t>(wide + 48), number_at<std::uint64_t>(wide + 32)};
  }
  return {number_at<std::uint32_t>(file.data + end + 16), number_at<std::uint16_t>(file.data + end + 10)};
}

Answer walk(const Arguments& given) {
  std::uint64_t opcodes = 0, names = 0;
  const double seconds = bench::seconds_of([&] {
    const Mapping file(given.at(0));
    const Directory directory = directory_of(file);
    const char* at = file.data + directory.offset;
    for (std::uint64_t i = 0; i < directory.count; ++i) {
      const auto name_bytes = number_at<std::uint16_t>(at + 28), extra = number_at<std::uint16_t>(at + 30);
      const std::string_view name(at + 46, name_bytes);
      names += name_bytes;
      if (name.ends_with("/data.pkl")) {
        const char* header = file.data + number_at<std::uint32_t>(at + 42);
        const char* pickle =
            header + 30 + number_at<std::uint16_t>(header + 26) + number_at<std::uint16_t>(header + 28);
        opcodes = walk_pickle(pickle, pickle + number_at<std::uint32_t>(at + 24));
      }
      at += 46U + name_bytes + extra + number_at<std::uint16_t>(at + 32);
    }
  });
  if (opcodes == 0) throw std::runtime_error("no data.pkl");
  return {{"seconds", seconds}, {"opcodes", static_cast<double>(opcodes)}, {"name_bytes", static_cast<double>(names)}};
}

Answer write_direct(const Arguments& given) {
  const std::size_t size = std::stoull(given.at(1)) / 4096 * 4096;
  const char* from = warm_memory(kBlock);
  const double seconds = bench::seconds_of([&] {
    int descriptor = ::open(given[0].c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_DIRECT, 0600);
    if (descriptor < 0 && errno == EINVAL)  // a file system without direct writes
      descriptor = ::open(given[0].c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (descriptor < 0) fail(given[0]);
    (void)::fallocate(descriptor, 0, 0, static_cast<off_t>(size));
    for (std::size_t at = 0; at < size;) {
      const ssize_t count = ::write(descriptor, from, std::min(kBlock, size - at));
      if (count <= 0) fail(given[0]);
      at += static_cast<std::size_t>(count);
    }
    if (::fsync(descriptor) != 0) fail(given[0]);
    ::close(descriptor);
  });
  ::unlink(given[0].c_str());
  return {{"seconds", seconds}};
}

Answer warm(const Arguments& given) {
  const std::size_t bytes = std::stoull(given.at(0));
  return {{"seconds", bench::seconds_of([&] {
             void* memory = ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
             if (memory == MAP_FAILED) fail("memory");
             std::memset(memory, 1, bytes);
             ::munmap(memory, bytes);
           })}};
}

}  // namespace

int main() {
  return bench::serve({{"memcpy", copy_memory},
                       {"pread", read_warm},
                       {"touch", touch},
                       {"memcmp", compare},
                       {"walk", walk},
                       {"write", write_direct},
                       {"warm", warm}});
}
