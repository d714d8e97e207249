// Source of the order of calls: the save contract in docs/reliability.md.
#include "io/atomic_file.hpp"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <optional>
#include <utility>

#include "base/digest.hpp"
#include "base/text.hpp"
#include "io/temporary.hpp"

namespace tenon::io {

namespace {

namespace paths = std::filesystem;

/// What is hashed and then written while it is still in the processor's cache.
constexpr std::size_t kPiece = std::size_t{256} << 10U;
/// The disk begins to work after this many bytes, so that fsync finds little left to do.
constexpr std::uint64_t kWriteOut = std::uint64_t{8} << 20U;
constexpr std::size_t kPiecesBetweenChecks = 16;

Where at(const std::string& path) { return Where{.file = path, .member = {}, .key = {}, .byte = {}}; }

/// A file system that cannot reserve blocks says so here; the bytes are then found out of place when they are written.
bool cannot_reserve(int error) { return error == EOPNOTSUPP || error == ENOSYS || error == EINVAL || error == ENODEV; }

}  // namespace

std::string resolve_links(Fs& fs, const std::string& path) {
  paths::path target = path;
  for (int hops = 0; hops < 40; ++hops) {
    const auto next = fs.read_link(target.string());
    if (!next) break;
    const paths::path step = *next;
    target = step.is_absolute() ? step : target.parent_path() / step;
  }
  return target.string();
}

namespace {

/// The disk has no room; `bytes` are needed.
Error full(Fs& fs, const std::string& path, const std::string& folder, std::uint64_t bytes, int error_number) {
  constexpr const char* kNext = "free some space or choose another disk; the old file, if there is one, is untouched";
  if (error_number == ENOSPC && fs.free_files(folder) == std::uint64_t{0})
    return Error(Code::Write, at(path), "no more files fit on the device: it is out of inodes",
                 "room for one more file", "no free inode",
                 "remove some files or choose another disk; the old file, if there is one, is untouched");
  const auto free = fs.free_bytes(folder);
  std::string found = free ? base::count_text(*free) + " bytes free" : std::string{};
  if (error_number == EDQUOT) found = "the quota is used up" + (free ? ", " + found : std::string{});
  return Error(Code::Write, at(path), "no space left on the device", "room for " + base::count_text(bytes) + " bytes",
               found, kNext);
}

}  // namespace

void refuse_unusable_name(Fs& fs, const std::string& path, Existing existing) {
  const std::string target = resolve_links(fs, path);
  const int found = fs.look(target);
  if (found == -ENAMETOOLONG)
    throw Error(Code::Write, at(path), "the file system takes no name of this length", "a shorter name",
                base::plural(paths::path(target).filename().string().size(), "byte"), "choose a shorter name");
  if (found == -ELOOP)
    throw Error(Code::Write, at(path), "symbolic links lead in a circle", "a file name, or a link to one", {},
                "remove the link, or choose another name");
  if (found < 0 && found != -ENOENT && found != -ENOTDIR)
    throw Error(Code::Write, at(path), std::string("the output cannot be looked up: ") + std::strerror(-found), {}, {},
                "check the disk and the permissions of the folder");
  const auto old = found == 0 ? fs.state(target) : std::nullopt;
  if (old && old->is_folder) throw Error(Code::Write, at(path), "the output is a folder", "a file name");
  // To replace /dev/null by a file would break the machine, and a pipe has a reader who waits at its other end.
  if (old && !old->is_regular)
    throw Error(Code::Write, at(path), "the output is a device, a pipe or a socket, which no save replaces",
                "the name of a file", {}, "choose another name");
  if (existing == Existing::Refuse && found == 0)
    throw Error(Code::Exists, at(path), "the output exists already", "a new name", {},
                "choose another name, or --force to replace it");
}

void make_sure_of_room(Fs& fs, const std::string& path, std::uint64_t bytes) {
  const std::string folder = folder_of(resolve_links(fs, path));
  for (const std::string& stale : stale_temporaries(fs, folder, Temporary::File)) fs.unlink(stale);
  const auto free = fs.free_bytes(folder);
  if (free && *free < bytes) throw full(fs, path, folder, bytes, ENOSPC);
}

AtomicFile::AtomicFile(const std::string& path, Existing existing, std::uint64_t expected_bytes, Fs& fs,
                       const std::string& like)
    : fs_(fs),
      path_(path),
      final_(resolve_links(fs, path)),
      like_(like.empty() ? final_ : resolve_links(fs, like)),
      folder_(folder_of(final_)),
      existing_(existing),
      expected_bytes_(expected_bytes) {
  refuse_unusable_name(fs_, path_, existing_);
  const auto folder = fs_.state(folder_);
  if (!folder || !folder->is_folder)
    throw Error(Code::Write, at(path_), "the folder of the output does not exist", folder_, {},
                "create the folder first");
  make_sure_of_room(fs_, path_, expected_bytes_);
  try {
    // Who opened the file before it had the old one's mode could read everything that is written later.
    create_temporary(fs_.is_missing(like_) ? Readers::ByUmask : Readers::Owner);
  } catch (...) {
    discard();
    throw;
  }
}

AtomicFile::~AtomicFile() { discard(); }

void AtomicFile::discard() {
  if (!temporary_.empty()) fs_.unlink(std::exchange(temporary_, {}));
  if (descriptor_ >= 0) fs_.close(std::exchange(descriptor_, -1));
}

void AtomicFile::create_temporary(Readers readers) {
  const std::string name = paths::path(final_).filename().string();
  for (;;) {
    // The members are set once the file is this writer's: discard() must not remove another's.
    std::string path = temporary_path(fs_, folder_, name, Temporary::File);
    const int created = fs_.create(path, readers);
    if (created == -EEXIST) continue;
    if (created < 0) fail("creating a temporary file beside it", -created);
    temporary_ = std::move(path);
    descriptor_ = created;
    // Between the two calls another save may take the file for a dead writer's and remove it: then once more. Where
    // there are no locks, the process in the name must do.
    fs_.lock(descriptor_);
    if (fs_.link_count(descriptor_) != 0) break;
    temporary_.clear();
    fs_.close(std::exchange(descriptor_, -1));
  }
  if (const int error = fs_.keep_attributes(like_, descriptor_); error < 0)
    fail("setting the mode of the temporary file", -error);
  const int error = expected_bytes_ > 0 ? fs_.allocate(descriptor_, expected_bytes_) : 0;
  if (error < 0 && !cannot_reserve(-error)) fail("reserving the space", -error);
}

Error AtomicFile::failure(const char* step, int error_number) {
  usable_ = false;
  const std::uint64_t needed = std::max(expected_bytes_, written_);
  if (error_number == ENOSPC || error_number == EDQUOT) return full(fs_, path_, folder_, needed, error_number);
  if (error_number == EFBIG)
    return Error(Code::Write, at(path_), "the file would be too large",
                 "room for " + base::count_text(needed) + " bytes", "a limit on the size of files",
                 "choose another disk or a larger limit; the old file, if there is one, is untouched");
  return Error(Code::Write, at(path_), std::string(step) + " failed: " + std::strerror(error_number), {}, {},
               "check the disk and the permissions of the folder; the old file, if there is one, is untouched");
}

void AtomicFile::fail(const char* step, int error_number) { throw failure(step, error_number); }

void AtomicFile::write_at(std::uint64_t offset, std::span<const std::byte> bytes) {
  while (!bytes.empty()) {
    const ssize_t count = fs_.write(descriptor_, bytes, offset);
    if (count <= 0 || static_cast<std::size_t>(count) > bytes.size())
      fail("writing", count < 0 ? static_cast<int>(-count) : EIO);
    offset += static_cast<std::uint64_t>(count);
    bytes = bytes.subspan(static_cast<std::size_t>(count));
  }
}

void AtomicFile::put(std::span<const std::byte> piece) {
  const std::uint64_t offset = static_cast<std::uint64_t>(hashes_.size()) * kPiece;
  hashes_.push_back(base::xxh3(piece));
  write_at(offset, piece);
  const std::uint64_t end = offset + piece.size();
  if (end % kWriteOut == 0) fs_.start_writing_out(descriptor_, end - kWriteOut, kWriteOut);
}

void AtomicFile::write(std::span<const std::byte> bytes) {
  TENON_ASSERT(usable_ && descriptor_ >= 0);
  while (!bytes.empty()) {
    const std::size_t count = std::min(bytes.size(), kPiece - gathered_.size());
    if (count == kPiece) {
      put(bytes.first(count));
    } else {
      gathered_.insert(gathered_.end(), bytes.begin(), bytes.begin() + static_cast<std::ptrdiff_t>(count));
      if (gathered_.size() == kPiece) flush();
    }
    written_ += count;
    bytes = bytes.subspan(count);
  }
}

void AtomicFile::flush() {
  if (gathered_.empty()) return;
  put(gathered_);
  gathered_.clear();
}

std::vector<std::byte> AtomicFile::read_piece(std::size_t index) {
  const std::uint64_t begin = static_cast<std::uint64_t>(index) * kPiece;
  std::vector<std::byte> piece(static_cast<std::size_t>(std::min<std::uint64_t>(kPiece, written_ - begin)));
  std::size_t got = 0;
  while (got < piece.size()) {
    const ssize_t count = fs_.read(descriptor_, std::span(piece).subspan(got), begin + got);
    if (count <= 0) fail("reading back what was written", count == 0 ? EIO : static_cast<int>(-count));
    got += static_cast<std::size_t>(count);
  }
  if (base::xxh3(piece) == hashes_[index]) return piece;
  usable_ = false;
  throw Error(Code::Write, at(path_), "the file does not read back as it was written",
              "equal bytes at " + base::count_text(begin) + " to " + base::count_text(begin + piece.size()),
              "other bytes", "check the disk and the memory; the old file, if there is one, is untouched");
}

void AtomicFile::rewrite(std::uint64_t offset, std::span<const std::byte> bytes) {
  // Nothing may be appended any more: the last piece is put as it stands.
  TENON_ASSERT(usable_ && descriptor_ >= 0 && written_ == expected_bytes_ && offset + bytes.size() <= written_);
  flush();
  while (!bytes.empty()) {
    const auto index = static_cast<std::size_t>(offset / kPiece);
    const auto within = static_cast<std::size_t>(offset % kPiece);
    std::vector<std::byte> piece = read_piece(index);
    const std::size_t count = std::min(bytes.size(), piece.size() - within);
    std::copy_n(bytes.begin(), count, piece.begin() + static_cast<std::ptrdiff_t>(within));
    hashes_[index] = base::xxh3(piece);
    write_at(offset, bytes.first(count));
    offset += count;
    bytes = bytes.subspan(count);
  }
}

void AtomicFile::read_back(const Check& check) {
  for (std::size_t i = 0; i < hashes_.size(); ++i) {
    if (check && i % kPiecesBetweenChecks == 0) check();
    read_piece(i);
  }
}

FileState AtomicFile::state() {
  const auto found = fs_.state(temporary_.empty() ? final_ : temporary_);
  if (!found) fail("looking the file up", ENOENT);
  return *found;
}

void AtomicFile::finish(Durability durability, const Check& check) {
  TENON_ASSERT(usable_ && descriptor_ >= 0 && written_ == expected_bytes_);
  flush();
  gathered_ = {};
  if (durability == Durability::None) return;
  if (const int error = fs_.sync(descriptor_); error < 0) throw SyncFailed(failure("syncing to the disk", -error));
  read_back(check);
}

/// What a failed rename has done. An answer that was lost on its way from a server comes to an error although the file
/// has its name.
AtomicFile::Named AtomicFile::named(const std::optional<FileState>& own) {
  if (!own) return Named::Untold;
  const auto under_final = fs_.state(final_);
  if (under_final && under_final->is_same_file(*own)) return Named::Yes;
  const auto under_temporary = fs_.state(temporary_);
  return under_temporary && under_temporary->is_same_file(*own) ? Named::No : Named::Untold;
}

void AtomicFile::publish() {
  TENON_ASSERT(usable_ && !temporary_.empty());
  const auto own = fs_.state(descriptor_);
  // Closing may tell of bytes that a network file system could not store, so it comes before the new name.
  if (const int error = fs_.close(std::exchange(descriptor_, -1)); error < 0) fail("closing", -error);
  const Overwrite overwrite = existing_ == Existing::Refuse ? Overwrite::No : Overwrite::Yes;
  const int error = fs_.rename(temporary_, final_, overwrite);
  const Named result = error < 0 ? named(own) : Named::Yes;
  if (result == Named::Untold) {
    usable_ = false;
    throw NameUntold(Code::Write, at(path_),
                     std::string("renaming the temporary file failed: ") + std::strerror(-error),
                     "the new file or the old one", "neither can be looked up",
                     "look at the file when the disk answers again: it is whole, be it the old one or the new one");
  }
  if (error == -EEXIST && result == Named::No) {
    usable_ = false;
    throw Error(Code::Exists, at(path_), "a file of this name appeared while writing", "a new name", {},
                "choose another name, or --force to replace it");
  }
  if (result == Named::No) fail("renaming the temporary file", -error);
  // By link() it may have both names.
  if (error < 0) fs_.unlink(temporary_);
  temporary_.clear();
  is_published_ = true;
}

void AtomicFile::sync_folder() {
  const int folder = fs_.open_folder(folder_);
  const int error = folder < 0 ? folder : fs_.sync(folder);
  if (folder >= 0) fs_.close(folder);
  // Some network file systems have no fsync for folders; that is no failure of this file.
  if (error < 0 && error != -EINVAL && error != -ENOTSUP)
    throw Error(Code::Write, at(path_), std::string("the folder could not be synced: ") + std::strerror(-error),
                "a new name that survives a power cut", {},
                "the file is whole and in place; sync the disk before relying on it");
}

void AtomicFile::withdraw() {
  if (is_published_) fs_.unlink(final_);
  is_published_ = false;
}

void AtomicFile::commit(Durability durability) {
  finish(durability);
  publish();
  if (durability == Durability::Fsync) sync_folder();
}

void write_text(const std::string& path, std::string_view text, Existing existing) {
  AtomicFile file(path, existing, text.size());
  file.write(std::as_bytes(std::span(text)));
  file.commit(Durability::Fsync);
}

}  // namespace tenon::io
