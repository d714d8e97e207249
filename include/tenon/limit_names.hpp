// The limits of a reader by name, for those who set them from outside: an option, a configuration file.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include <tenon/export.hpp>
#include <tenon/limits.hpp>

namespace tenon {

/// All names, as `Limits` spells its members.
TENON_API std::vector<std::string_view> limit_names();

/// The name of one of them.
TENON_API std::string_view limit_name(std::uint64_t Limits::*limit);

/// Sets the limit called `name`. Throws Error Invalid that names the nearest ones when there is none.
TENON_API void set_limit(Limits& limits, std::string_view name, std::uint64_t value);

}  // namespace tenon
