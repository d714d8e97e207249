#include "faults/model_fs.hpp"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <random>
#include <utility>

namespace tenon::test {

namespace {

std::string folder_of(const std::string& path) {
  std::string folder = std::filesystem::path(path).parent_path().string();
  return folder.empty() ? "." : folder;
}

std::string text_of(std::span<const std::byte> bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

/// Disks write sectors of 512 bytes whole or not at all.
constexpr std::size_t kSector = 512;

}  // namespace

ModelFs::ModelFs(Disk disk) : cache_(disk), disk_(std::move(disk)) {
  for (const auto& [inode, content] : cache_.contents) next_inode_ = std::max(next_inode_, inode + 1);
}

std::optional<std::string> ModelFs::content(const std::string& path) const {
  const auto found = cache_.names.find(path);
  return found == cache_.names.end() ? std::nullopt : std::optional(cache_.contents.at(found->second));
}

std::vector<std::string> ModelFs::paths() const {
  std::vector<std::string> paths;
  for (const auto& [path, inode] : cache_.names) paths.push_back(path);
  return paths;
}

void ModelFs::put(const std::string& path, std::string content) {
  const std::uint64_t inode = next_inode_++;
  for (Disk* disk : {&cache_, &disk_}) {
    disk->names[path] = inode;
    disk->contents[inode] = content;
  }
}

void ModelFs::remove(const std::string& path) {
  cache_.names.erase(path);
  disk_.names.erase(path);
}

ModelFs::Disk ModelFs::after_kill() const { return cache_; }

void ModelFs::apply(Disk& disk, const Waiting& change) {
  switch (change.kind) {
    case Waiting::Kind::Write: {
      std::string& content = disk.contents[change.inode];
      content.resize(std::max<std::size_t>(content.size(), change.offset + change.bytes.size()));
      content.replace(change.offset, change.bytes.size(), change.bytes);
      return;
    }
    case Waiting::Kind::Size: {
      std::string& content = disk.contents[change.inode];
      content.resize(std::max<std::size_t>(content.size(), change.offset));
      return;
    }
    case Waiting::Kind::Unname: disk.names.erase(change.path); return;
    case Waiting::Kind::Rename: disk.names.erase(change.from); [[fallthrough]];
    case Waiting::Kind::Name:
      disk.names[change.path] = change.inode;
      disk.contents[change.inode];  // the name of a file whose bytes never came leads to an empty one
      return;
  }
}

void ModelFs::add(Waiting change) {
  apply(cache_, change);
  const std::size_t half = change.bytes.size() / 2 / kSector * kSector;
  if (change.kind == Waiting::Kind::Write && half > 0) {
    Waiting first = change;
    first.bytes.resize(half);
    change.bytes.erase(0, half);
    change.offset += half;
    waiting_.push_back(std::move(first));
  }
  waiting_.push_back(std::move(change));
}

std::vector<ModelFs::Disk> ModelFs::after_power_cut(std::size_t limit) const {
  const std::size_t count = waiting_.size();
  std::vector<std::vector<bool>> choices;
  if (count < 20 && (std::size_t{1} << count) <= limit) {
    for (std::size_t bits = 0; bits < (std::size_t{1} << count); ++bits) {
      std::vector<bool> chosen(count);
      for (std::size_t i = 0; i < count; ++i) chosen[i] = ((bits >> i) & 1U) != 0;
      choices.push_back(std::move(chosen));
    }
  } else {
    choices = {std::vector<bool>(count, false), std::vector<bool>(count, true)};
    for (const bool rest : {false, true})
      for (std::size_t i = 0; i < count && choices.size() < limit; ++i) {
        std::vector<bool> chosen(count, rest);
        chosen[i] = !rest;
        choices.push_back(std::move(chosen));
      }
    std::mt19937 random(static_cast<unsigned>(count));
    while (choices.size() < limit) {
      std::vector<bool> chosen(count);
      for (std::size_t i = 0; i < count; ++i) chosen[i] = (random() & 1U) != 0;
      choices.push_back(std::move(chosen));
    }
  }
  std::vector<Disk> disks;
  for (const std::vector<bool>& chosen : choices) {
    Disk disk = disk_;
    for (std::size_t i = 0; i < count; ++i)
      if (chosen[i]) apply(disk, waiting_[i]);
    disks.push_back(std::move(disk));
  }
  return disks;
}

void ModelFs::lose_waiting(int file) {
  const std::uint64_t inode = open_.at(file).inode;
  std::erase_if(waiting_, [&](const Waiting& change) {
    return change.inode == inode && (change.kind == Waiting::Kind::Write || change.kind == Waiting::Kind::Size);
  });
}

void ModelFs::cut_at_close(int file) {
  const std::uint64_t inode = open_.at(file).inode;
  lose_waiting(file);
  for (Disk* disk : {&cache_, &disk_}) {
    const auto found = disk->contents.find(inode);
    if (found != disk->contents.end()) found->second.resize(found->second.size() / 2);
  }
}

std::uint64_t ModelFs::used() const {
  std::set<std::uint64_t> live;
  for (const auto& [path, inode] : cache_.names) live.insert(inode);
  for (const auto& [number, file] : open_)
    if (file.folder.empty()) live.insert(file.inode);
  std::uint64_t bytes = 0;
  for (const std::uint64_t inode : live) bytes += cache_.contents.at(inode).size();
  return bytes;
}

int ModelFs::open(std::uint64_t inode, std::string folder) {
  open_[next_descriptor_] = Open{inode, std::move(folder), false};
  return next_descriptor_++;
}

int ModelFs::create(const std::string& path, io::Readers) {
  if (cache_.names.contains(path)) return -EEXIST;
  const std::uint64_t inode = next_inode_++;
  add({Waiting::Kind::Name, inode, 0, {}, path, {}});
  return open(inode, {});
}

int ModelFs::create_or_empty(const std::string& path) {
  const auto found = cache_.names.find(path);
  if (found == cache_.names.end()) return create(path, io::Readers::ByUmask);
  // Emptying an existing file is a write of its own kind; here it reaches the disk at once, as it may.
  cache_.contents[found->second].clear();
  disk_.contents[found->second].clear();
  return open(found->second, {});
}

int ModelFs::open_for_reading(const std::string& path) {
  const auto found = cache_.names.find(path);
  return found == cache_.names.end() ? -ENOENT : open(found->second, {});
}

int ModelFs::open_folder(const std::string& path) { return open(0, path); }

ssize_t ModelFs::write(int file, std::span<const std::byte> bytes, std::uint64_t offset) {
  const std::uint64_t inode = open_.at(file).inode;
  const std::uint64_t size = cache_.contents[inode].size(), end = offset + bytes.size();
  const std::uint64_t more = end > size ? end - size : 0;
  if (capacity && used() + more > *capacity) {
    const std::uint64_t room = *capacity > used() ? *capacity - used() : 0;
    if (room == 0) return -ENOSPC;
    bytes = bytes.first(static_cast<std::size_t>(std::min<std::uint64_t>(bytes.size(), bytes.size() - more + room)));
  }
  add({Waiting::Kind::Write, inode, offset, text_of(bytes), {}, {}});
  return static_cast<ssize_t>(bytes.size());
}

ssize_t ModelFs::read(int file, std::span<std::byte> bytes, std::uint64_t offset) {
  const std::string& content = cache_.contents[open_.at(file).inode];
  if (offset >= content.size()) return 0;
  const std::size_t count = std::min<std::size_t>(bytes.size(), content.size() - offset);
  std::memcpy(bytes.data(), content.data() + offset, count);
  return static_cast<ssize_t>(count);
}

int ModelFs::allocate(int file, std::uint64_t bytes) {
  if (!can_allocate) return -EOPNOTSUPP;
  const std::uint64_t inode = open_.at(file).inode;
  if (capacity && used() - cache_.contents[inode].size() + bytes > *capacity) return -ENOSPC;
  add({Waiting::Kind::Size, inode, bytes, {}, {}, {}});
  return 0;
}

int ModelFs::sync(int file) {
  const Open& open = open_.at(file);
  std::vector<Waiting> rest;
  for (Waiting& change : waiting_) {
    const bool is_data = change.kind == Waiting::Kind::Write || change.kind == Waiting::Kind::Size;
    const bool is_meant =
        open.folder.empty() ? is_data && change.inode == open.inode : !is_data && folder_of(change.path) == open.folder;
    if (is_meant)
      apply(disk_, change);
    else
      rest.push_back(std::move(change));
  }
  waiting_ = std::move(rest);
  return 0;
}

int ModelFs::close(int file) { return open_.erase(file) == 1 ? 0 : -EBADF; }

int ModelFs::lock(int file) {
  Open& mine = open_.at(file);
  for (const auto& [number, other] : open_)
    if (number != file && other.is_locked && other.inode == mine.inode && other.folder == mine.folder)
      return -EWOULDBLOCK;
  mine.is_locked = true;
  return 0;
}

std::optional<io::FileState> ModelFs::state(int file) {
  const Open& open = open_.at(file);
  if (!open.folder.empty()) return io::FileState{.is_folder = true, .is_regular = false};
  return io::FileState{.inode = open.inode, .size = cache_.contents.at(open.inode).size()};
}

int ModelFs::link_count(int file) {
  const std::uint64_t inode = open_.at(file).inode;
  return static_cast<int>(
      std::count_if(cache_.names.begin(), cache_.names.end(), [&](const auto& name) { return name.second == inode; }));
}

int ModelFs::rename(const std::string& from, const std::string& to, io::Overwrite overwrite) {
  const auto found = cache_.names.find(from);
  if (found == cache_.names.end()) return -ENOENT;
  if (overwrite == io::Overwrite::No && cache_.names.contains(to)) return -EEXIST;
  if (folder_of(from) != folder_of(to)) return -EXDEV;  // every folder is a file system of its own
  add({Waiting::Kind::Rename, found->second, 0, {}, to, from});
  return 0;
}

int ModelFs::unlink(const std::string& path) {
  if (!cache_.names.contains(path)) return -ENOENT;
  add({Waiting::Kind::Unname, cache_.names[path], 0, {}, path, {}});
  return 0;
}

std::optional<io::FileState> ModelFs::state(const std::string& path) {
  const auto found = cache_.names.find(path);
  if (found != cache_.names.end())
    return io::FileState{.inode = found->second, .size = cache_.contents.at(found->second).size()};
  const bool is_folder = path == "." || std::any_of(cache_.names.begin(), cache_.names.end(), [&](const auto& name) {
                           return name.first.starts_with(path + "/");
                         });
  // The folders that tests save into are there from the beginning.
  return is_folder || path == "d" || path == "e" ? std::optional(io::FileState{.is_folder = true, .is_regular = false})
                                                 : std::nullopt;
}

int ModelFs::look(const std::string& path) { return state(path) ? 0 : -ENOENT; }

std::vector<std::string> ModelFs::list(const std::string& folder) {
  std::vector<std::string> names;
  for (const auto& [path, inode] : cache_.names)
    if (folder_of(path) == folder) names.push_back(std::filesystem::path(path).filename().string());
  return names;
}

std::optional<std::uint64_t> ModelFs::free_bytes(const std::string&) {
  if (!tells_free_bytes) return std::nullopt;
  if (!capacity) return std::uint64_t{1} << 60U;
  return *capacity > used() ? *capacity - used() : 0;
}

}  // namespace tenon::test
