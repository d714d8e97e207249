// Side: the tensors of one listing as modules on a tree of words.
//
// A module is all tensors under one name but for their leaf (`fc.weight`, `fc.bias`). Modules stand in natural order of
// their names, so that nothing here depends on the order of the file.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <unordered_map>
#include <vector>

#include <tenon/listing.hpp>

#include "match/name.hpp"

namespace tenon::match {

struct Member {
  std::size_t tensor = 0;  ///< index into the listing
  Leaf leaf = Leaf::Alone;
  bool is_kernel = false;
  std::int64_t elements = 1;
};

using NodeId = std::uint32_t;
inline constexpr NodeId kRoot = 0;

struct Module {
  std::vector<Token> path;
  std::vector<Member> members;  ///< by leaf
  NodeId node = kRoot;
  std::uint64_t signature = 0;  ///< of the sizes of its tensors
  std::int64_t companion = 0;   ///< of a norm: elements of the one matrix beside it that it scales, 0 for none

  const Member* find(Leaf leaf) const;
  /// Weight, or what stands for it; the bias where there is nothing else.
  const Member& main() const;
};

/// A node of the tree: a prefix of paths.
struct Node {
  NodeId parent = kRoot;
  Token token;
  std::uint32_t depth = 0;
  std::uint32_t pattern = 0;    ///< equal for paths that differ in numbers only
  std::uint32_t modules = 0;    ///< at and below it
  std::uint64_t signature = 0;  ///< of the shapes at and below it, whatever their order: equal for twins
  double mass = 0;              ///< elements at and below it
  std::uint32_t first = 0;      ///< its modules stand at first, first + 1, ... in the side's order
};

struct Side {
  const Listing* listing = nullptr;
  std::vector<Module> modules;
  std::vector<Node> nodes;                                  ///< parents before children; [0] is the root
  std::unordered_map<std::uint64_t, std::uint32_t> crowds;  ///< how many modules have a signature

  const Shape& shape(const Member& member) const { return *listing->tensors[member.tensor].shape; }
  const std::string& name(const Member& member) const { return listing->tensors[member.tensor].name; }
  bool is_below(NodeId node, NodeId above) const;
};

/// The modules that `tensors` (indexes into the listing, all with known shapes) make. `words` is shared by both sides.
Side side_of(const Listing& listing, std::span<const std::size_t> tensors, Words& words);

}  // namespace tenon::match
