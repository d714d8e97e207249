// Patterns: the fewest globs that name a set of tensors and no other.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace tenon::plan {

struct Named {
  std::string_view name;
  bool wanted = false;
};

/// Globs that match every wanted name and none of the others: `*`, whole modules (`fc.*`), one leaf everywhere
/// (`*.bias`), or names one by one. Short and readable before minimal. Names that themselves contain `*` or `?` are
/// given as they are.
std::vector<std::string> cover(const std::vector<Named>& names);

}  // namespace tenon::plan
