// The same facts told of another place: by who knows more of where they stand than who found them.
#pragma once

#include <string>
#include <utility>

#include <tenon/error.hpp>

namespace tenon::base {

inline Error moved_error(const Error& error, Where place) {
  Error moved(error.code, std::move(place), error.what_happened, error.expected, error.found, error.next);
  moved.limit = error.limit;
  return moved;
}

}  // namespace tenon::base
