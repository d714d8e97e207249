// Names that no checkpoint needs, and why. The table raises the severity and says what happens; whether a file is safe
// never depends on it.
#pragma once

#include <optional>
#include <string_view>

namespace tenon::scanning {

/// What the most exact row of the table says of a dotted name: that it is dangerous, or expressly that it is not.
struct Denial {
  bool dangerous = false;
  std::string_view why;  ///< "starts programs"
};

/// `full` is `module.name`; a row covers the name itself and everything below it, and the longest row counts. The
/// underscores in front of the first part do not count (`_io` is `io`). Nothing when no row covers it.
std::optional<Denial> denial_of(std::string_view full);

/// True for the first part of a name that belongs to Python's own library, of any version.
bool is_standard_library(std::string_view top);

/// True for a module below a name that is a single file in Python's library: somebody's own package of that name.
bool is_own_package(std::string_view module);

/// True for an attribute's name that itself is a module which runs code, or code: `os`, `sys`, `eval`, `system`.
bool is_dangerous_attribute(std::string_view name);

}  // namespace tenon::scanning
