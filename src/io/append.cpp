#include "io/append.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include <tenon/error.hpp>

namespace tenon::io {
namespace {

/// Closes the descriptor when an Error leaves.
struct Descriptor {
  int number;
  ~Descriptor() {
    if (number >= 0) ::close(number);
  }
};

[[noreturn]] void fail(const std::string& path, const char* step) {
  throw Error(Code::Write, {path, {}, {}, {}}, std::string("the log could not be written (") + step + ")", {},
              std::strerror(errno), "check the folder, its permissions and the free space");
}

bool ends_in_a_cut_line(int descriptor, const std::string& path) {
  struct stat status {};
  if (::fstat(descriptor, &status) != 0) fail(path, "stat");
  if (status.st_size == 0) return false;
  char last = '\n';
  if (::pread(descriptor, &last, 1, status.st_size - 1) < 0) fail(path, "read");
  return last != '\n';
}

}  // namespace

void append_line(const std::string& path, std::string_view line) {
  const Descriptor file{::open(path.c_str(), O_RDWR | O_APPEND | O_CREAT | O_CLOEXEC, 0666)};
  if (file.number < 0) fail(path, "open");
  const std::string text = (ends_in_a_cut_line(file.number, path) ? "\n" : "") + std::string(line) + "\n";
  // One write: readers and other writers see the whole line or nothing of it.
  const ssize_t written = ::write(file.number, text.data(), text.size());
  if (written < 0) fail(path, "write");
  if (static_cast<std::size_t>(written) != text.size()) {
    errno = ENOSPC;
    fail(path, "write");
  }
  if (::fsync(file.number) != 0) fail(path, "fsync");
}

}  // namespace tenon::io
