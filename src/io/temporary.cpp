#include "io/temporary.hpp"

#include <algorithm>
#include <atomic>

namespace tenon::io {

namespace {

constexpr std::string_view kMark = ".tenon-";

std::string_view suffix_of(Temporary kind) { return kind == Temporary::Journal ? ".journal" : ".tmp"; }

/// `<boot>-<process>-<start>` out of a temporary's name; "" for any other name.
std::string_view writer_in(std::string_view name, Temporary kind) {
  if (!name.starts_with('.') || !name.ends_with(suffix_of(kind))) return {};
  name.remove_suffix(suffix_of(kind).size());
  const std::size_t mark = name.rfind(kMark);
  if (mark == std::string_view::npos) return {};
  name.remove_prefix(mark + kMark.size());
  const bool plain = std::all_of(name.begin(), name.end(),
                                 [](char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || c == '-'; });
  // Three fields and the number.
  return plain && std::count(name.begin(), name.end(), '-') == 3 ? name.substr(0, name.rfind('-')) : std::string_view{};
}

/// A live writer in another container has a process number that means nothing here, but it holds its lock.
bool nobody_holds(Fs& fs, const std::string& path) {
  const int file = fs.open_for_reading(path);
  if (file < 0) return false;
  const bool is_free = fs.lock(file) == 0;
  fs.close(file);
  return is_free;
}

}  // namespace

std::string temporary_path(Fs& fs, const std::string& folder, std::string_view name, Temporary kind) {
  static std::atomic<std::uint64_t> count{0};
  // Names may be as long as the file system allows: only their beginning is repeated.
  std::string file = "." + std::string(name.substr(0, 100)) + std::string(kMark) + fs.writer() + "-" +
                     std::to_string(count++) + std::string(suffix_of(kind));
  return path_in(folder, file);
}

std::vector<std::string> stale_temporaries(Fs& fs, const std::string& folder, Temporary kind) {
  std::vector<std::string> stale;
  for (const std::string& name : fs.list(folder)) {
    const std::string_view writer = writer_in(name, kind);
    if (writer.empty() || !fs.is_gone(writer)) continue;
    std::string path = path_in(folder, name);
    if (nobody_holds(fs, path)) stale.push_back(std::move(path));
  }
  std::sort(stale.begin(), stale.end());
  return stale;
}

}  // namespace tenon::io
