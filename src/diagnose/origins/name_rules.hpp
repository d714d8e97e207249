// Name rules: many names and what becomes of them, as the fewest regular expressions.
//
//   model.layers.0.mlp.up.weight  ->  blk.0.ffn_up.weight      model\.layers\.(\d+)\.mlp\.up\.(weight|bias)
//   model.layers.0.mlp.up.bias    ->  blk.0.ffn_up.bias     => blk.$1.ffn_up.$2
//   ... twelve layers
#pragma once

#include <string>
#include <vector>

namespace tenon::diagnosis {

/// One name that is looked for and the names that it gives: one for a rename, several for a split.
struct NameChange {
  std::string from;
  std::vector<std::string> to;
};

struct NameRule {
  std::string from;             ///< an ECMAScript expression over whole names, or an exact name
  std::vector<std::string> to;  ///< with $1 references
  bool is_regex = false;
  std::vector<std::size_t> changes;  ///< which of the changes it makes, by position
};

/// Rules that together make exactly these changes and touch no other of `all_names`, as far as they run on the names as
/// they are. All changes have equally many `to`. O(n log n).
/// Numbers are carried over where they stay, and the last words where they stay.
std::vector<NameRule> name_rules(const std::vector<NameChange>& changes, const std::vector<std::string>& all_names);

/// Characters that mean something in a regular expression, made plain.
std::string regex_text(std::string_view text);

}  // namespace tenon::diagnosis
