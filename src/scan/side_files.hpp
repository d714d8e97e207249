// Files that a model names beside itself: judged by their path, looked at by name and size, never opened.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace tenon::scanning {

enum class SidePath : std::uint8_t {
  Beside,  ///< one plain name
  Below,   ///< in a folder below
  Leaves,  ///< absolute, with a drive or scheme, or up and out
};
SidePath judge_side_path(std::string_view path);

struct SideFile {
  enum class Kind : std::uint8_t { Missing, File, Link, Other };
  Kind kind = Kind::Missing;
  std::uint64_t bytes = 0;
};

/// What stands at `path` in the folder of `file`: links are seen, not followed. Missing for a `file` without a path.
SideFile side_file(const std::string& file, std::string_view path);

}  // namespace tenon::scanning
