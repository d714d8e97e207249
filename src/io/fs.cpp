#include "io/fs.hpp"

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

std::optional<std::string> read_small_file(Fs& fs, const std::string& path, std::uint64_t limit_bytes) {
  const auto state = fs.state(path);
  if (!state || state->is_folder || state->size > limit_bytes) return std::nullopt;
  std::string text(static_cast<std::size_t>(state->size), '\0');
  const int file = fs.open_for_reading(path);
  if (file < 0) return std::nullopt;
  std::size_t got = 0;
  while (got < text.size()) {
    const ssize_t count = fs.read(file, std::as_writable_bytes(std::span(text)).subspan(got), got);
    if (count <= 0) break;
    got += static_cast<std::size_t>(count);
  }
  fs.close(file);
  return got == text.size() ? std::optional(std::move(text)) : std::nullopt;
}

}  // namespace tenon::io
