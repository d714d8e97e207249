#include "io/fs.hpp"

#include <cerrno>
#include <filesystem>

namespace tenon::io {

std::string path_in(const std::string& folder, std::string_view name) {
  std::string path = folder;
  if (!path.empty() && !path.ends_with('/')) path += '/';
  return path += name;
}

std::string folder_of(const std::string& path) {
  std::string folder = std::filesystem::path(path).parent_path().string();
  return folder.empty() ? "." : folder;
}

bool Fs::is_missing(const std::string& path) {
  const int found = look(path);
  return found == -ENOENT || found == -ENOTDIR;
}

namespace {

/// Closes the file, also when memory ends.
struct OpenFile {
  Fs& fs;
  int number;
  ~OpenFile() {
    if (number >= 0) fs.close(number);
  }
};

std::optional<std::string> all_of(Fs& fs, int file, std::uint64_t bytes) {
  std::string text(static_cast<std::size_t>(bytes), '\0');
  std::size_t got = 0;
  while (got < text.size()) {
    const ssize_t count = fs.read(file, std::as_writable_bytes(std::span(text)).subspan(got), got);
    if (count <= 0) return std::nullopt;
    got += static_cast<std::size_t>(count);
  }
  return text;
}

}  // namespace

std::optional<std::string> read_small_file(Fs& fs, const std::string& path, std::uint64_t limit_bytes, Owner owner) {
  const OpenFile file{fs, fs.open_for_reading(path)};
  if (file.number < 0) return std::nullopt;
  // Asked of the open file: the name may lead to another one by now.
  const auto state = fs.state(file.number);
  const bool is_wanted =
      state && state->is_regular && state->size <= limit_bytes && (owner == Owner::Anybody || state->is_own);
  return is_wanted ? all_of(fs, file.number, state->size) : std::nullopt;
}

}  // namespace tenon::io
