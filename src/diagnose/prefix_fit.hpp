// PrefixFit: the prefix that, taken off or put before, makes the most names of one side those of the other.
//
// Every pair of names where one ends in the other votes for the prefix in between. Nothing is guessed from a list of
// wrappers.
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <tenon/listing.hpp>

namespace tenon::diagnosis {

/// A name and its shape, borrowed. `shape` is null where it is not known.
struct NamedShape {
  std::string_view name;
  const Shape* shape = nullptr;
};

inline NamedShape named_shape(const TensorSpec& spec) { return {spec.name, spec.shape ? &*spec.shape : nullptr}; }

struct PrefixFit {
  std::string strip;                ///< taken off the checkpoint's names; "" if nothing is
  std::string add;                  ///< then put before them; "" if nothing is
  std::size_t keys = 0;             ///< names that are then the model's
  std::size_t shapes = 0;           ///< of these, with equal or unknown shapes
  std::vector<std::string> rivals;  ///< other prefixes that do as well by both counts

  explicit operator bool() const { return keys > 0; }
};

/// The best of all prefixes. `have` and `want` are names without counterpart. O(total length of the names); levels
/// beyond the 32nd are not looked at, so that a name of a million dots costs no more than others.
PrefixFit best_prefix(std::span<const NamedShape> have, std::span<const NamedShape> want);

}  // namespace tenon::diagnosis
