// Side files: the files beside a checkpoint that it names itself. A name out of a file is not trusted.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include <tenon/checkpoint.hpp>

#include "io/mapped_file.hpp"

namespace tenon::formats {

/// Why a name may not be followed: it is absolute, leads out of the folder, or is no name; nothing when it may.
std::optional<std::string> why_outside(std::string_view location);

/// The side files of one checkpoint, each opened once, below its folder and without following links.
class SideFiles {
 public:
  SideFiles(const std::string& checkpoint, ReadMode mode);

  /// Throws Error: Corrupt at `where` (the name may not be followed), NotFound, Read (a link, a folder, a device).
  std::shared_ptr<const io::MappedFile> open(const std::string& location, const Where& where);

 private:
  std::string folder_;
  ReadMode mode_;
  std::map<std::string, std::shared_ptr<const io::MappedFile>> opened_;
};

}  // namespace tenon::formats
