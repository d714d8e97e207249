// Limits for targets that take any file: small enough that honest work stays below a second and half a gigabyte.
#pragma once

#include <tenon/limits.hpp>

namespace tenon::fuzz {

inline Limits small_limits() {
  Limits limits;
  limits.pickle_nodes = 1'000'000;
  limits.pickle_opcodes = 1'000'000;
  limits.walked_paths = 100'000;
  limits.object_values = 100'000;
  limits.inflated_record_bytes = 16 << 20;
  limits.gunzipped_bytes = 16 << 20;
  limits.expanded_view_bytes = 16 << 20;
  return limits;
}

}  // namespace tenon::fuzz
