#include "formats/side_file.hpp"

#include <algorithm>
#include <filesystem>

#include "base/utf8.hpp"

namespace tenon::formats {

std::optional<std::string> why_outside(std::string_view location) {
  if (location.empty()) return "it is empty";
  if (location.find('\0') != std::string_view::npos) return "it holds a zero byte";
  if (location.find('\\') != std::string_view::npos) return "it holds a backslash";
  if (location.starts_with('/')) return "it is absolute";
  if (location.size() > 1 && location[1] == ':') return "it begins with a drive";
  for (std::size_t at = 0; at <= location.size();) {
    const std::size_t end = std::min(location.find('/', at), location.size());
    const std::string_view part = location.substr(at, end - at);
    if (part == "..") return "it leads out of the folder";
    if (part.empty()) return "a part of it is empty";
    at = end + 1;
  }
  return std::nullopt;
}

SideFiles::SideFiles(const std::string& checkpoint, ReadMode mode)
    : folder_(std::filesystem::path(checkpoint).parent_path().string()), mode_(mode) {}

std::shared_ptr<const io::MappedFile> SideFiles::open(const std::string& location, const Where& where) {
  if (const auto why = why_outside(location))
    throw Error(Code::Corrupt, where, "the name of a side file may not be followed: " + *why,
                "a file below the folder of this one", "`" + base::escape_for_terminal(location.substr(0, 200)) + "`",
                "the file is forged, or was made on another machine: save it again with relative names");
  auto& file = opened_[location];
  if (file) return file;
  try {
    return file = io::MappedFile::open_below(folder_, location, mode_);
  } catch (const Error& error) {  // knows the side file; what names it is known here
    throw Error(error.code, {where.file, location, where.key, where.byte}, "a side file: " + error.what_happened,
                error.expected, error.found,
                error.code == Code::NotFound ? "fetch it, too, and put it where the name says" : error.next);
  }
}

}  // namespace tenon::formats
