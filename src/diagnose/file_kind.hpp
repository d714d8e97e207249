// FileKind: what a file is by its first and last bytes, for files that no reader could open.
//
// Source of the magic numbers: the formats' own specifications; git-lfs: "Git LFS Specification", the pointer.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

namespace tenon::diagnosis {

enum class Condition : std::uint8_t {
  Foreign,  ///< a whole file of another kind
  Stand,    ///< something that stands in for the file: a pointer, an error page
  Damaged,  ///< the right kind, cut or overwritten
  Unknown,
};

struct FileKind {
  Condition condition = Condition::Unknown;
  std::string what;      ///< `a git-lfs pointer`; "" when unknown
  std::string evidence;  ///< counted or quoted
  std::string help;      ///< what to do; "" if nothing special
};

FileKind kind_of(std::span<const std::byte> bytes);

}  // namespace tenon::diagnosis
