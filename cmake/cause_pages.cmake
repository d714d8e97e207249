# docs/causes/*.md -> one source file with the pages as data, so that `tenon help CAUSE` needs no files at run time.

file(GLOB TENON_CAUSE_PAGES CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/docs/causes/*.md)
set(TENON_CAUSE_PAGES_SOURCE ${CMAKE_CURRENT_BINARY_DIR}/cause_pages.cpp)
set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${TENON_CAUSE_PAGES})

set(rows "")
foreach(page IN LISTS TENON_CAUSE_PAGES)
  get_filename_component(id ${page} NAME_WE)
  file(READ ${page} text)
  string(APPEND rows "    {\"${id}\", R\"page(${text})page\"},\n")
endforeach()
file(CONFIGURE OUTPUT ${TENON_CAUSE_PAGES_SOURCE} @ONLY CONTENT [[
// Made from docs/causes/ by cmake/cause_pages.cmake.
#include "diagnose/cause_pages.hpp"

#include <vector>

namespace tenon::diagnosis {

std::span<const CausePage> cause_pages() {
  static const std::vector<CausePage> kPages = {
@rows@  };
  return kPages;
}

}  // namespace tenon::diagnosis
]])
