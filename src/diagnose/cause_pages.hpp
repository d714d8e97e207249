// The long pages of the causes, docs/causes/<id>.md, compiled in by cmake/cause_pages.cmake.
#pragma once

#include <span>
#include <string_view>

namespace tenon::diagnosis {

struct CausePage {
  std::string_view id;
  std::string_view text;  ///< Markdown
};

/// Sorted by id.
std::span<const CausePage> cause_pages();

}  // namespace tenon::diagnosis
