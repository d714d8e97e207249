// The library's version.
#pragma once

#include <string_view>

#include <tenon/export.hpp>

namespace tenon {

/// `major.minor.patch` of the library that is linked.
TENON_API std::string_view version();

}  // namespace tenon
