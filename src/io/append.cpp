#include "io/append.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include <tenon/error.hpp>

#include "io/atomic_file.hpp"
#include "io/fs.hpp"

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

off_t bytes_of(int descriptor, const std::string& path) {
  struct stat status {};
  if (::fstat(descriptor, &status) != 0) fail(path, "stat");
  return status.st_size;
}

bool ends_in_a_cut_line(int descriptor, off_t bytes, const std::string& path) {
  if (bytes == 0) return false;
  char last = '\n';
  if (::pread(descriptor, &last, 1, bytes - 1) < 0) fail(path, "read");
  return last != '\n';
}

/// Without it the name of a new file may be lost in a power cut although its line is on the disk.
void sync_folder_of(const std::string& path) {
  const std::string folder = folder_of(resolve_links(system_fs(), path));
  const Descriptor opened{::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC)};
  if (opened.number < 0) fail(path, "open its folder");
  // Some network file systems have no fsync for folders.
  if (::fsync(opened.number) != 0 && errno != EINVAL && errno != ENOTSUP) fail(path, "fsync of its folder");
}

}  // namespace

void append_line(const std::string& path, std::string_view line) {
  const Descriptor file{::open(path.c_str(), O_RDWR | O_APPEND | O_CREAT | O_CLOEXEC, 0666)};
  if (file.number < 0) fail(path, "open");
  const off_t bytes_before = bytes_of(file.number, path);
  const std::string text = (ends_in_a_cut_line(file.number, bytes_before, path) ? "\n" : "") + std::string(line) + "\n";
  // One write: readers and other writers see the whole line or nothing of it.
  const ssize_t written = ::write(file.number, text.data(), text.size());
  if (written < 0) fail(path, "write");
  if (static_cast<std::size_t>(written) != text.size()) {
    errno = ENOSPC;
    fail(path, "write");
  }
  if (::fsync(file.number) != 0) fail(path, "fsync");
  if (bytes_before == 0) sync_folder_of(path);
}

}  // namespace tenon::io
