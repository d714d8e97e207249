// Source of the order of calls: the save contract S1-S4 in docs/reliability.md.
#include "io/atomic_file.hpp"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <optional>
#include <utility>

#include "base/text.hpp"

namespace tenon::io {

namespace {

namespace fs = std::filesystem;

Where at(const std::string& path) { return Where{.file = path, .member = {}, .key = {}, .byte = {}}; }

/// Follows symbolic links at the last component, so that the link stays and its target is replaced.
std::string resolve_links(const std::string& path) {
  std::error_code failed;
  if (!fs::is_symlink(path, failed)) return path;
  fs::path target = path;
  for (int hops = 0; hops < 40 && fs::is_symlink(target, failed); ++hops) {
    const fs::path next = fs::read_symlink(target, failed);
    target = next.is_absolute() ? next : target.parent_path() / next;
  }
  return target.string();
}

std::string folder_of(const std::string& path) {
  const std::string folder = fs::path(path).parent_path().string();
  return folder.empty() ? "." : folder;
}

std::optional<std::uint64_t> free_bytes(const std::string& folder) {
  struct statvfs status {};
  if (::statvfs(folder.c_str(), &status) != 0) return std::nullopt;
  return static_cast<std::uint64_t>(status.f_bavail) * status.f_frsize;
}

/// Mode bits of the file to be replaced, or those that a new file gets under the caller's umask.
mode_t mode_for(const std::string& path) {
  struct stat status {};
  if (::stat(path.c_str(), &status) == 0) return status.st_mode & 07777U;
  const mode_t mask = ::umask(0);
  ::umask(mask);
  return 0666U & ~mask;
}

void sync_folder(const std::string& folder, const std::string& path) {
  const int descriptor = ::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  const bool synced = descriptor >= 0 && ::fsync(descriptor) == 0;
  const int error_number = errno;
  if (descriptor >= 0) ::close(descriptor);
  // Some network file systems have no fsync for folders; that is no failure of this file.
  if (!synced && error_number != EINVAL && error_number != ENOTSUP)
    throw Error(Code::Write, at(path), std::string("the folder could not be synced: ") + std::strerror(error_number),
                "a new name that survives a power cut", {},
                "the file is whole and in place; sync the disk before relying on it");
}

}  // namespace

AtomicFile::AtomicFile(const std::string& path, Existing existing, std::uint64_t expected_bytes)
    : path_(path),
      final_(resolve_links(path)),
      folder_(folder_of(final_)),
      existing_(existing),
      expected_bytes_(expected_bytes) {
  std::error_code failed;
  if (fs::is_directory(final_, failed)) throw Error(Code::Write, at(path_), "the output is a folder", "a file name");
  if (existing_ == Existing::Refuse && fs::exists(final_, failed))
    throw Error(Code::Exists, at(path_), "the output exists already", "a new name", {},
                "choose another name, or --force to replace it");
  if (!fs::is_directory(folder_, failed))
    throw Error(Code::Write, at(path_), "the folder of the output does not exist", folder_, {},
                "create the folder first");
  const auto free = free_bytes(folder_);
  if (free && *free < expected_bytes_) fail("checking the free space", ENOSPC);
  const mode_t mode = mode_for(final_);
  temporary_ =
      (fs::path(folder_) / ("." + fs::path(final_).filename().string().substr(0, 100) + ".tenon-XXXXXX")).string();
  descriptor_ = ::mkostemp(temporary_.data(), O_CLOEXEC);
  if (descriptor_ < 0) {
    temporary_.clear();
    fail("creating a temporary file beside it", errno);
  }
  if (::fchmod(descriptor_, mode) != 0) {
    const int error_number = errno;
    ::unlink(temporary_.c_str());
    ::close(std::exchange(descriptor_, -1));
    fail("setting the mode of the temporary file", error_number);
  }
}

AtomicFile::~AtomicFile() {
  if (descriptor_ >= 0) ::close(descriptor_);
  if (!temporary_.empty()) ::unlink(temporary_.c_str());
}

void AtomicFile::fail(const char* step, int error_number) {
  usable_ = false;
  const bool full = error_number == ENOSPC || error_number == EDQUOT;
  const bool too_large = error_number == EFBIG;
  std::string expected = "room for " + base::count_text(std::max(expected_bytes_, written_)) + " bytes";
  if (full || too_large) {
    const auto free = free_bytes(folder_);
    std::string found = free ? base::count_text(*free) + " bytes free" : std::string{};
    if (error_number == EDQUOT) found = "the quota is used up";
    if (too_large) found = "a limit on the size of files";
    throw Error(Code::Write, at(path_), full ? "no space left on the device" : "the file would be too large", expected,
                found, "free some space or choose another disk; the old file, if there is one, is untouched");
  }
  throw Error(Code::Write, at(path_), std::string(step) + " failed: " + std::strerror(error_number), {}, {},
              "the old file, if there is one, is untouched");
}

void AtomicFile::write(std::span<const std::byte> bytes) {
  TENON_ASSERT(usable_ && descriptor_ >= 0);
  while (!bytes.empty()) {
    const ssize_t count = ::write(descriptor_, bytes.data(), bytes.size());
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0) fail("writing", count == 0 ? EIO : errno);
    written_ += static_cast<std::uint64_t>(count);
    bytes = bytes.subspan(static_cast<std::size_t>(count));
  }
}

void AtomicFile::rewrite(std::uint64_t offset, std::span<const std::byte> bytes) {
  TENON_ASSERT(usable_ && descriptor_ >= 0 && offset <= written_ && bytes.size() <= written_ - offset);
  while (!bytes.empty()) {
    const ssize_t count = ::pwrite(descriptor_, bytes.data(), bytes.size(), static_cast<off_t>(offset));
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0) fail("writing", count == 0 ? EIO : errno);
    offset += static_cast<std::uint64_t>(count);
    bytes = bytes.subspan(static_cast<std::size_t>(count));
  }
}

void AtomicFile::commit(Durability durability) {
  TENON_ASSERT(usable_ && descriptor_ >= 0);
  // A failed fsync is not tried again: the kernel may have dropped the dirty pages and would report success.
  if (durability == Durability::Fsync && ::fsync(descriptor_) != 0) fail("syncing to the disk", errno);
  if (::close(std::exchange(descriptor_, -1)) != 0) fail("closing", errno);
  const unsigned int flags = existing_ == Existing::Refuse ? RENAME_NOREPLACE : 0;
  int renamed = ::renameat2(AT_FDCWD, temporary_.c_str(), AT_FDCWD, final_.c_str(), flags);
  if (renamed != 0 && errno == EINVAL && flags != 0) {
    // A file system without RENAME_NOREPLACE: link() refuses an existing name just as atomically.
    renamed = ::link(temporary_.c_str(), final_.c_str());
    if (renamed == 0) ::unlink(temporary_.c_str());
  }
  if (renamed != 0) {
    const int error_number = errno;
    if (error_number == EEXIST) {
      usable_ = false;
      throw Error(Code::Exists, at(path_), "a file of this name appeared while writing", "a new name", {},
                  "choose another name, or --force to replace it");
    }
    fail("renaming the temporary file", error_number);
  }
  temporary_.clear();
  if (durability == Durability::Fsync) sync_folder(folder_, path_);
}

}  // namespace tenon::io
