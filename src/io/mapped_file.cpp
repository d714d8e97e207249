#include "io/mapped_file.hpp"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <utility>

#include "base/limit_error.hpp"
#include "base/text.hpp"
#include "base/utf8.hpp"

namespace tenon::io {

namespace {

[[noreturn]] void refuse(const std::string& path, int error_number) {
  const Where where{.file = path, .member = {}, .key = {}, .byte = {}};
  switch (error_number) {
    case ENOENT:
    case ENOTDIR: throw Error(Code::NotFound, where, "there is no such file", {}, {}, "check the path");
    case EACCES:
    case EPERM:
      throw Error(Code::Read, where, "the file cannot be read: permission denied", {}, {},
                  "ask its owner for read permission, or copy it to a place of yours");
    default: throw Error(Code::Read, where, std::string("the file cannot be read: ") + std::strerror(error_number));
  }
}

struct stat status_of(int descriptor, const std::string& path) {
  struct stat status {};
  if (::fstat(descriptor, &status) != 0) refuse(path, errno);
  return status;
}

/// Reads `out.size()` bytes from the descriptor's position; fewer only at the end of the file.
std::size_t read_fully(int descriptor, std::span<std::byte> out, const std::string& path) {
  std::size_t total = 0;
  while (total < out.size()) {
    const ssize_t count = ::read(descriptor, out.data() + total, out.size() - total);
    if (count == 0) break;
    if (count < 0 && errno != EINTR) refuse(path, errno);
    if (count > 0) total += static_cast<std::size_t>(count);
  }
  return total;
}

/// Closes on every way out.
struct Descriptor {
  int number = -1;
  explicit Descriptor(int opened) : number(opened) {}
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  ~Descriptor() {
    if (number > STDERR_FILENO) ::close(number);
  }
};

// O_NONBLOCK: opening a pipe that nobody writes to must not hang; it means nothing for regular files.
constexpr int kReading = O_RDONLY | O_CLOEXEC | O_NONBLOCK;

int open_for_reading(const std::string& path) {
  const int descriptor = ::open(path.c_str(), kReading);
  if (descriptor < 0) refuse(path, errno);
  return descriptor;
}

bool is_one_component(std::string_view name) {
  return !name.empty() && name != "." && name != ".." && name.size() <= 255 &&
         name.find_first_of(std::string_view("/\\\0", 3)) == std::string_view::npos;
}

/// `../../blobs/<hex>`: the content-addressed store that a snapshot of the Hugging Face cache points into; one step up
/// more for each folder within the snapshot.
bool is_cache_blob(std::string_view target) {
  constexpr std::string_view kUp = "../", kStore = "blobs/";
  int steps = 0;
  for (; target.starts_with(kUp); ++steps) target.remove_prefix(kUp.size());
  if (steps < 2 || steps > 8 || !target.starts_with(kStore)) return false;
  target.remove_prefix(kStore.size());
  return target.size() >= 32 && target.size() <= 128 &&
         target.find_first_not_of("0123456789abcdef") == std::string_view::npos;
}

/// Where the link leads, or "" when it is none.
std::string link_target(int folder, const std::string& name) {
  std::array<char, 512> target{};
  const ssize_t length = ::readlinkat(folder, name.c_str(), target.data(), target.size());
  return length > 0 ? std::string(target.data(), static_cast<std::size_t>(length)) : std::string();
}

/// One step down, which is no link but the cache's own.
int open_part(int around, const std::string& part, bool is_folder, const std::string& path) {
  const int flags = kReading | O_NOFOLLOW | (is_folder ? O_DIRECTORY : 0);
  const int descriptor = ::openat(around, part.c_str(), flags);
  if (descriptor >= 0) return descriptor;
  const int error_number = errno;
  const std::string target = link_target(around, part);
  if (target.empty()) refuse(path, error_number);
  const int blob = !is_folder && is_cache_blob(target) ? ::openat(around, target.c_str(), flags) : -1;
  if (blob >= 0) return blob;
  throw Error(Code::Read, Where{.file = path, .member = {}, .key = {}, .byte = {}},
              "a part of the path is a link, which is not followed for files that a checkpoint names",
              "a file in the checkpoint's own folder",
              "`" + base::escape_for_terminal(part) + "` leads to `" + base::escape_for_terminal(target) + "`",
              "put the file itself there if you trust it");
}

}  // namespace

struct MappedFile::Identity {
  dev_t device;
  ino_t inode;
  off_t size;
  timespec modified;
};

MappedFile::MappedFile(std::string path) : path_(std::move(path)) {}

PathKind path_kind(const std::string& path) {
  struct stat status {};
  if (::stat(path.c_str(), &status) != 0) {
    if (errno == ENOENT || errno == ENOTDIR || errno == ENAMETOOLONG) return PathKind::Missing;
    refuse(path, errno);
  }
  if (S_ISREG(status.st_mode)) return PathKind::File;
  return S_ISDIR(status.st_mode) ? PathKind::Folder : PathKind::Other;
}

std::shared_ptr<const MappedFile> MappedFile::open(const std::string& path, ReadMode mode) {
  const std::shared_ptr<MappedFile> file(new MappedFile(path));
  file->take(open_for_reading(path), mode);
  return file;
}

std::shared_ptr<const MappedFile> MappedFile::open_below(const std::string& folder, const std::string& relative,
                                                         ReadMode mode) {
  const std::string top = folder.empty() ? "." : folder;
  const std::string path =
      (folder.empty() ? "" : folder + (folder.ends_with('/') ? "" : "/")) + base::escape_for_terminal(relative);
  const std::shared_ptr<MappedFile> file(new MappedFile(path));
  Descriptor at(::open(top.c_str(), O_RDONLY | O_CLOEXEC | O_DIRECTORY));
  if (at.number < 0) refuse(top, errno);
  for (std::size_t begin = 0; begin <= relative.size();) {
    const std::size_t end = std::min(relative.find('/', begin), relative.size());
    const std::string part = relative.substr(begin, end - begin);
    TENON_ASSERT(!part.empty() && part != "..");
    const Descriptor around(std::exchange(at.number, -1));
    at.number = open_part(around.number, part, end < relative.size(), path);
    begin = end + 1;
  }
  file->take(std::exchange(at.number, -1), mode);
  return file;
}

std::shared_ptr<const MappedFile> MappedFile::open_beside(const std::string& folder, const std::string& name,
                                                          ReadMode mode) {
  if (!is_one_component(name))
    throw Error(Code::Corrupt, {folder, {}, {}, {}}, "a part of the checkpoint is named outside its folder",
                "a file name without separators", "`" + base::escape_for_terminal(name) + "`",
                "the index is damaged or forged: fetch it again");
  return open_below(folder, name, mode);
}

std::shared_ptr<const MappedFile> MappedFile::part(std::shared_ptr<const MappedFile> whole, std::uint64_t offset,
                                                   std::uint64_t count, std::string name) {
  TENON_ASSERT(offset <= whole->size() && count <= whole->size() - offset);
  const std::shared_ptr<MappedFile> part(new MappedFile(std::move(name)));
  part->bytes_ = whole->bytes_.subspan(offset, count);
  part->whole_ = std::move(whole);
  return part;
}

std::shared_ptr<const MappedFile> MappedFile::of_bytes(std::vector<std::byte> bytes, std::string name) {
  const std::shared_ptr<MappedFile> file(new MappedFile(std::move(name)));
  file->owned_ = std::move(bytes);
  file->bytes_ = file->owned_;
  return file;
}

void MappedFile::take(int descriptor, ReadMode mode) {
  Descriptor opened(descriptor);
  const struct stat status = status_of(opened.number, path_);
  const Where where{.file = path_, .member = {}, .key = {}, .byte = {}};
  if (S_ISDIR(status.st_mode)) throw Error(Code::Read, where, "this is a folder", "a file", "a folder");
  if (!S_ISREG(status.st_mode))
    throw Error(Code::Read, where, "this is no regular file", "a file", "a device, pipe or socket",
                "write its content to a file first");
  identity_ = std::make_unique<Identity>(Identity{status.st_dev, status.st_ino, status.st_size, status.st_mtim});
  const auto size = static_cast<std::size_t>(status.st_size);
  if (mode == ReadMode::Copy) {
    copy_ = std::make_unique_for_overwrite<std::byte[]>(size);
    const std::span<std::byte> whole(copy_.get(), size);
    if (read_fully(opened.number, whole, path_) != size)
      throw Error(Code::Read, where, "the file shrank while it was read");
    bytes_ = whole;
  } else if (size > 0) {
    void* start = ::mmap(nullptr, size, PROT_READ, MAP_PRIVATE, opened.number, 0);
    if (start == MAP_FAILED) refuse(path_, errno);
    bytes_ = {static_cast<const std::byte*>(start), size};
    range_.emplace(bytes_, path_);
  }
  descriptor_ = std::exchange(opened.number, -1);
}

MappedFile::~MappedFile() {
  range_.reset();  // before the addresses can be anyone else's
  if (identity_ && !copy_ && !bytes_.empty()) ::munmap(const_cast<std::byte*>(bytes_.data()), bytes_.size());
  if (descriptor_ >= 0) ::close(descriptor_);
}

void MappedFile::require_unchanged() const {
  if (whole_) return whole_->require_unchanged();
  if (copy_ || !identity_) return;  // what is in memory cannot change
  const struct stat now = status_of(descriptor_, path_);
  const Identity& then = *identity_;
  const bool same = now.st_size == then.size && now.st_mtim.tv_sec == then.modified.tv_sec &&
                    now.st_mtim.tv_nsec == then.modified.tv_nsec;
  if (!same)
    throw Error(Code::Read, Where{.file = path_, .member = {}, .key = {}, .byte = {}},
                "the file changed while it was open", base::plural(static_cast<std::uint64_t>(then.size), "byte"),
                base::plural(static_cast<std::uint64_t>(now.st_size), "byte") + " or a newer time",
                "open it again when its writer is done");
}

void MappedFile::read(std::uint64_t offset, std::span<std::byte> out) const {
  if (whole_) return whole_->read(offset + static_cast<std::uint64_t>(bytes_.data() - whole_->bytes_.data()), out);
  if (copy_ || descriptor_ < 0) {
    const auto held = bytes_.subspan(offset, out.size());
    std::copy(held.begin(), held.end(), out.begin());
    return;
  }
  while (!out.empty()) {
    const ssize_t count = ::pread(descriptor_, out.data(), out.size(), static_cast<off_t>(offset));
    if (count < 0 && errno != EINTR) refuse(path_, errno);
    if (count == 0)
      throw Error(Code::Read, {path_, {}, {}, offset}, "the file shrank while it was read", {}, {},
                  "open it again when its writer is done");
    if (count > 0) {
      offset += static_cast<std::uint64_t>(count);
      out = out.subspan(static_cast<std::size_t>(count));
    }
  }
}

bool MappedFile::is_same_file(const MappedFile& other) const {
  return identity_ && other.identity_ && identity_->device == other.identity_->device &&
         identity_->inode == other.identity_->inode;
}

void MappedFile::will_read(std::uint64_t offset, std::uint64_t count) const {
  if (descriptor_ >= 0)  // advice only: a refusal changes nothing
    (void)::posix_fadvise(descriptor_, static_cast<off_t>(offset), static_cast<off_t>(count), POSIX_FADV_WILLNEED);
}

std::string read_text(const std::string& path, const Limits& limits) {
  const Descriptor opened(path == "-" ? STDIN_FILENO : open_for_reading(path));
  const std::string name = path == "-" ? "standard input" : path;
  const Where where{.file = name, .member = {}, .key = {}, .byte = {}};
  if (S_ISDIR(status_of(opened.number, name).st_mode))
    throw Error(Code::Read, where, "this is a folder", "a text file");
  std::string text;
  std::array<std::byte, 65536> block{};
  for (;;) {
    const std::size_t count = read_fully(opened.number, block, name);
    text.append(reinterpret_cast<const char*>(block.data()), count);
    if (text.size() > limits.json_file_bytes)
      throw base::limit_error(where, "the text is too long", {&Limits::json_file_bytes, limits});
    if (count < block.size()) return text;
  }
}

}  // namespace tenon::io
