#include "scan/side_files.hpp"

#include <algorithm>
#include <filesystem>
#include <system_error>

namespace tenon::scanning {

SidePath judge_side_path(std::string_view path) {
  if (path.empty() || path[0] == '/' || path[0] == '\\' || path[0] == '~') return SidePath::Leaves;
  if (path.find(':') != std::string_view::npos || path.find('\0') != std::string_view::npos) return SidePath::Leaves;
  if (path.find('\\') != std::string_view::npos && path.find("..") != std::string_view::npos) return SidePath::Leaves;
  for (std::size_t at = 0; at <= path.size();) {
    const std::size_t end = std::min(path.find('/', at), path.size());
    if (path.substr(at, end - at) == "..") return SidePath::Leaves;
    at = end + 1;
  }
  return path.find_first_of("/\\") == std::string_view::npos ? SidePath::Beside : SidePath::Below;
}

SideFile side_file(const std::string& file, std::string_view path) {
  namespace fs = std::filesystem;
  if (file.empty() || path.empty()) return {};
  std::error_code failed;
  fs::path place = fs::path(file).parent_path();
  for (const fs::path& step : fs::path(std::string(path))) {
    place /= step;
    if (fs::symlink_status(place, failed).type() == fs::file_type::symlink) return {SideFile::Kind::Link, 0};
  }
  const fs::file_status status = fs::symlink_status(place, failed);
  if (status.type() == fs::file_type::not_found || failed) return {};
  if (status.type() != fs::file_type::regular) return {SideFile::Kind::Other, 0};
  const auto bytes = fs::file_size(place, failed);
  return {SideFile::Kind::File, failed ? 0 : static_cast<std::uint64_t>(bytes)};
}

}  // namespace tenon::scanning
