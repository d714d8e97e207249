// Name templates: an expression of literal text and plain groups, and the names it gives, turned round.
//
//   from `layers\.(\d+)\.attn`, to `h.$1.attn`   ->   from `h\.(\d+)\.attn`, to `layers.$1.attn`
#pragma once

#include <optional>
#include <string>
#include <vector>

namespace tenon::plan {

/// What gives the old names back; nothing where the expression holds more than literals and groups without groups
/// within, or where `to` does not name every group exactly once.
struct Turned {
  std::string from, to;
};
std::optional<Turned> turned(const std::string& from, const std::string& to);

/// Like turned(), but `to` of the result is made of the parts: the expression of the whole, and a name for each part.
/// Nothing where an expression cannot be turned, or the parts have different numbers of groups.
struct TurnedParts {
  std::string from;
  std::vector<std::string> to;
};
std::optional<TurnedParts> turned(const std::vector<std::string>& from, const std::string& to);

/// The name as an expression that matches it alone.
std::string escaped(const std::string& name);

}  // namespace tenon::plan
