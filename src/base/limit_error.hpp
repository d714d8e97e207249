// The Error of a limit that was passed: the only place that words it, so that each one names the limit and says how to
// raise it.
#pragma once

#include <cstdint>
#include <string>

#include <tenon/error.hpp>
#include <tenon/limits.hpp>

namespace tenon::base {

/// One of the limits, and what it stands at.
struct NamedLimit {
  std::uint64_t Limits::*member;
  std::uint64_t most;

  NamedLimit(std::uint64_t Limits::*which, std::uint64_t stands_at) : member(which), most(stands_at) {}
  NamedLimit(std::uint64_t Limits::*which, const Limits& limits) : NamedLimit(which, limits.*which) {}
};

/// Error Limit with `limit` set and an `expected` such as
/// "at most 100 levels (limit json_depth; --limit json_depth=NUMBER raises it)".
Error limit_error(Where place, std::string what, NamedLimit limit, std::string found = {}, std::string next = {});

}  // namespace tenon::base
