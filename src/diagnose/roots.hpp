// Roots: the places in a checkpoint where a state dict may stand, and how well each suits a target.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include <tenon/listing.hpp>

#include "diagnose/prefix_fit.hpp"

namespace tenon::diagnosis {

/// A container of the checkpoint, seen as a state dict.
struct Root {
  std::string path;                 ///< "" for the top
  std::vector<NamedShape> tensors;  ///< all below it; names without the path; borrowed from the listing
  std::size_t direct = 0;           ///< of these, tensors that stand in it itself, or in modules of it
};

/// The top first, then the sixteen containers that hold most tensors (a training checkpoint has a handful; an optimizer
/// has one per parameter). Only the top where the listing has no tree: a blueprint, a text.
std::vector<Root> roots_of(const Listing& listing);

/// How many names of `root` are names of `want`: as they are, and with the best prefix.
struct RootFit {
  std::size_t keys = 0;   ///< with the best prefix
  std::size_t exact = 0;  ///< of these, as they are
};
RootFit fit_of(const std::vector<NamedShape>& root, const std::vector<NamedShape>& want);

/// True when `a` explains more than `b`; on a tie the deeper one, then the one that is not called a copy.
struct ScoredRoot {
  const Root* root = nullptr;
  RootFit fit;
};
bool is_better(const ScoredRoot& a, const ScoredRoot& b);

/// The state dict that a training loop means by "the model": most tensors, no optimizer, no second copy. Null where the
/// tensors stand at the top.
const Root* main_root(const std::vector<Root>& roots);

}  // namespace tenon::diagnosis
