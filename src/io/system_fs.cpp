#include <dirent.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/vfs.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <charconv>
#include <csignal>
#include <cstdio>
#include <fstream>
#include <memory>
#include <string_view>

#include "io/fs.hpp"

namespace tenon::io {

namespace {

int or_error(int result) { return result < 0 ? -errno : result; }

template <typename Call>
auto again_if_interrupted(Call call) {
  auto result = call();
  while (result < 0 && errno == EINTR) result = call();
  return result;
}

/// Text of an attribute list or value, of unknown length; empty when the file system has none.
template <typename Read>
std::string attribute_text(Read read) {
  const ssize_t size = read(nullptr, 0);
  if (size <= 0) return {};
  std::string text(static_cast<std::size_t>(size), '\0');
  const ssize_t got = read(text.data(), text.size());
  text.resize(got < 0 ? 0 : static_cast<std::size_t>(got));
  return text;
}

/// Access lists and what users attach. Labels of security modules belong to the folder's policy, not to the old file.
void copy_extended_attributes(const char* path, int file) {
  const std::string names = attribute_text([&](char* out, std::size_t size) { return ::listxattr(path, out, size); });
  for (std::size_t at = 0; at < names.size();) {
    const std::string name(names.c_str() + at);
    at += name.size() + 1;
    if (!name.starts_with("user.") && name != "system.posix_acl_access") continue;
    const std::string value =
        attribute_text([&](char* out, std::size_t size) { return ::getxattr(path, name.c_str(), out, size); });
    // An attribute that does not fit here is no reason to refuse a save.
    static_cast<void>(::fsetxattr(file, name.c_str(), value.data(), value.size(), 0));
  }
}

std::string first_line(const std::string& path) {
  std::ifstream file(path);
  std::string line;
  std::getline(file, line);
  return line;
}

constexpr std::string_view kUnknownBoot = "unknown";

/// Which boot of which machine this is: the first twelve digits of the kernel's random number.
std::string boot() {
  std::string id = first_line("/proc/sys/kernel/random/boot_id");
  std::erase(id, '-');
  return id.empty() ? std::string(kUnknownBoot) : id.substr(0, 12);
}

/// When a process began, in clock ticks since the boot; "" when there is none. It tells a process from a later one that
/// got its number. Source: proc(5), field 22 of /proc/PID/stat, counted behind the name in parentheses.
std::string start_of(std::string_view process) {
  const std::string line = first_line("/proc/" + std::string(process) + "/stat");
  std::size_t at = line.rfind(')');
  if (at == std::string::npos) return {};
  for (int field = 2; field < 22 && at != std::string::npos; ++field) at = line.find(' ', at + 1);
  return at == std::string::npos ? std::string{} : line.substr(at + 1, line.find(' ', at + 1) - at - 1);
}

/// Is there a process of this number? Asked of the kernel and not of /proc, which knows a third answer.
bool runs(std::string_view process) {
  pid_t number = 0;
  const auto [end, error] = std::from_chars(process.data(), process.data() + process.size(), number);
  if (error != std::errc{} || end != process.data() + process.size() || number <= 0) return true;
  return ::kill(number, 0) == 0 || errno != ESRCH;
}

FileState state_of(const struct stat& status) {
  return {.inode = status.st_ino,
          .size = static_cast<std::uint64_t>(status.st_size),
          .is_folder = S_ISDIR(status.st_mode),
          .device = status.st_dev,
          .is_regular = S_ISREG(status.st_mode),
          .is_own = status.st_uid == ::geteuid()};
}

class SystemFs final : public Fs {
 public:
  int create(const std::string& path, Readers readers) override {
    const mode_t mode = readers == Readers::Owner ? 0600 : 0666;
    return or_error(::open(path.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, mode));
  }
  int open_for_reading(const std::string& path) override {
    return or_error(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK));
  }
  int open_folder(const std::string& path) override {
    return or_error(::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  }
  ssize_t write(int file, std::span<const std::byte> bytes, std::uint64_t offset) override {
    const ssize_t count =
        again_if_interrupted([&] { return ::pwrite(file, bytes.data(), bytes.size(), static_cast<off_t>(offset)); });
    return count < 0 ? -errno : count;
  }
  ssize_t read(int file, std::span<std::byte> bytes, std::uint64_t offset) override {
    const ssize_t count =
        again_if_interrupted([&] { return ::pread(file, bytes.data(), bytes.size(), static_cast<off_t>(offset)); });
    return count < 0 ? -errno : count;
  }
  int allocate(int file, std::uint64_t bytes) override {
    return or_error(again_if_interrupted([&] { return ::fallocate(file, 0, 0, static_cast<off_t>(bytes)); }));
  }
  void start_writing_out(int file, std::uint64_t offset, std::uint64_t bytes) override {
    static_cast<void>(
        ::sync_file_range(file, static_cast<off_t>(offset), static_cast<off_t>(bytes), SYNC_FILE_RANGE_WRITE));
  }
  int sync(int file) override { return or_error(::fsync(file)); }
  // Not repeated after EINTR: on Linux the descriptor is gone by then.
  int close(int file) override { return or_error(::close(file)); }
  int lock(int file) override {
    return or_error(again_if_interrupted([&] { return ::flock(file, LOCK_EX | LOCK_NB); }));
  }
  std::optional<FileState> state(int file) override {
    struct stat status {};
    return ::fstat(file, &status) != 0 ? std::nullopt : std::optional(state_of(status));
  }
  int link_count(int file) override {
    struct stat status {};
    return ::fstat(file, &status) != 0 ? -errno : static_cast<int>(status.st_nlink);
  }
  int keep_attributes(const std::string& path, int file) override {
    struct stat old {};
    if (::stat(path.c_str(), &old) != 0) return errno == ENOENT ? 0 : -errno;
    // Without the right to give files away the new one is the caller's, as with any other program.
    static_cast<void>(::fchown(file, old.st_uid, old.st_gid) == 0 || ::fchown(file, uid_t(-1), old.st_gid) == 0);
    if (::fchmod(file, old.st_mode & 07777U) != 0) return -errno;
    copy_extended_attributes(path.c_str(), file);
    return 0;
  }

  int rename(const std::string& from, const std::string& to, Overwrite overwrite) override {
    const unsigned int flags = overwrite == Overwrite::No ? RENAME_NOREPLACE : 0;
    if (::renameat2(AT_FDCWD, from.c_str(), AT_FDCWD, to.c_str(), flags) == 0) return 0;
    if (errno != EINVAL || flags == 0) return -errno;
    // A file system without RENAME_NOREPLACE: link() refuses an existing name just as atomically.
    if (::link(from.c_str(), to.c_str()) != 0) return -errno;
    ::unlink(from.c_str());
    return 0;
  }
  int unlink(const std::string& path) override { return or_error(::unlink(path.c_str())); }
  std::optional<FileState> state(const std::string& path) override {
    struct stat status {};
    return ::stat(path.c_str(), &status) != 0 ? std::nullopt : std::optional(state_of(status));
  }
  int look(const std::string& path) override {
    struct stat status {};
    return or_error(::stat(path.c_str(), &status));
  }
  std::optional<std::string> read_link(const std::string& path) override {
    std::array<char, 4096> target{};
    const ssize_t length = ::readlink(path.c_str(), target.data(), target.size());
    if (length < 0) return std::nullopt;
    return std::string(target.data(), static_cast<std::size_t>(length));
  }
  std::vector<std::string> list(const std::string& folder) override {
    const std::unique_ptr<DIR, int (*)(DIR*)> open(::opendir(folder.c_str()), &::closedir);
    std::vector<std::string> names;
    if (!open) return names;
    while (const dirent* entry = ::readdir(open.get())) names.emplace_back(entry->d_name);
    return names;
  }
  std::optional<std::uint64_t> free_bytes(const std::string& folder) override {
    struct statvfs status {};
    // ramfs, and FUSE where the server does not answer, count no blocks at all: that is no full disk.
    if (::statvfs(folder.c_str(), &status) != 0 || status.f_blocks == 0) return std::nullopt;
    return static_cast<std::uint64_t>(status.f_bavail) * status.f_frsize;
  }
  std::optional<std::uint64_t> free_files(const std::string& folder) override {
    struct statvfs status {};
    if (::statvfs(folder.c_str(), &status) != 0 || status.f_files == 0) return std::nullopt;
    return status.f_ffree;
  }
  std::string unsure_kind(const std::string& folder) override {
    struct statfs status {};
    if (::statfs(folder.c_str(), &status) != 0) return {};
    switch (static_cast<unsigned long>(status.f_type)) {
      case NFS_SUPER_MAGIC: return "nfs";
      case FUSE_SUPER_MAGIC: return "fuse";
      case SMB_SUPER_MAGIC:
      case 0xFE534D42: return "smb";
      case V9FS_MAGIC: return "9p";
      default: return {};
    }
  }

  std::string writer() override {
    const std::string process = std::to_string(::getpid());
    return boot() + "-" + process + "-" + start_of(process);
  }
  bool is_gone(std::string_view writer) override {
    const std::size_t first = writer.find('-'), second = writer.find('-', first + 1);
    if (first == std::string_view::npos || second == std::string_view::npos) return false;
    const std::string here = boot();
    if (writer.substr(0, first) != here) return here != kUnknownBoot;
    const std::string_view process = writer.substr(first + 1, second - first - 1);
    if (!runs(process)) return true;
    // /proc may hide the processes of others, or not be readable just now: then it runs, for all that is known.
    const std::string start = start_of(process);
    return !start.empty() && start != writer.substr(second + 1);
  }
};

}  // namespace

Fs& system_fs() {
  static SystemFs only;
  return only;
}

}  // namespace tenon::io
