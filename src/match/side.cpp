#include "match/side.hpp"

#include <algorithm>
#include <numeric>
#include <unordered_map>

#include "match/hash.hpp"

namespace tenon::match {
namespace {

struct Named {
  ParsedName name;
  std::size_t tensor = 0;
  std::int64_t elements = 1;
};

std::uint64_t hash_of(std::span<const Token> tokens, std::size_t count) {
  std::uint64_t hash = 0;
  for (std::size_t i = 0; i < count; ++i)
    hash = combined(hash, tokens[i].is_number() ? static_cast<std::uint64_t>(tokens[i].number) << 1 | 1
                                                : static_cast<std::uint64_t>(tokens[i].word) << 1);
  return hash;
}

/// Extents multiplied; saturates where no tensor is, so that what hostile shapes add up to overflows nothing, either.
std::int64_t elements_of(const Shape& shape) {
  constexpr std::int64_t kMost = std::int64_t{1} << 56;
  std::int64_t product = 1;
  for (const std::int64_t extent : shape)
    if (__builtin_mul_overflow(product, extent, &product)) return kMost;
  return std::min(product, kMost);
}

/// Numbers by value, words by letters, numbers first.
bool natural_less(const std::vector<Token>& a, const std::vector<Token>& b, const Words& words) {
  const auto less = [&](const Token& x, const Token& y) {
    if (x.is_number() != y.is_number()) return x.is_number();
    return x.is_number() ? x.number < y.number : words.text(x.word) < words.text(y.word);
  };
  return std::lexicographical_compare(a.begin(), a.end(), b.begin(), b.end(), less);
}

/// The leaf's words again, as words of the path.
void restore_leaf(ParsedName& name) {
  name.leaf = Leaf::Alone;
  name.tokens.insert(name.tokens.end(), name.leaf_own.begin(), name.leaf_own.end());
}

/// A lone `gamma` or `scale` is a parameter of its own: its word says what it is. Beside a bias (or `shift`) of its
/// size it is a norm's weight.
void settle_scales(std::vector<Named>& rows) {
  struct Company {
    int rows = 0;
    bool has_weight = false, has_bias = false;
  };
  const auto key = [](const Named& row) {
    return combined(hash_of(row.name.tokens, row.name.tokens.size()), static_cast<std::uint64_t>(row.elements));
  };
  std::unordered_map<std::uint64_t, Company> company;
  for (const Named& row : rows) {
    if (row.name.leaf == Leaf::Alone) continue;
    Company& here = company[key(row)];
    ++here.rows;
    here.has_bias = here.has_bias || row.name.leaf == Leaf::Bias || row.name.leaf == Leaf::Mean;
    here.has_weight = here.has_weight || row.name.leaf == Leaf::Weight;
  }
  for (Named& row : rows) {
    if (row.name.leaf != Leaf::Scale && !row.name.needs_company) continue;
    const Company& here = company[key(row)];
    if (here.rows < 2 || (row.name.leaf == Leaf::Scale && (!here.has_bias || here.has_weight)))
      restore_leaf(row.name);
    else if (row.name.leaf == Leaf::Scale)
      row.name.leaf = Leaf::Weight;
  }
}

std::vector<Module> modules_of(std::vector<Named> rows, const Listing& listing, const Words& words) {
  settle_scales(rows);
  std::vector<std::size_t> order(rows.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) {
    const ParsedName &x = rows[a].name, &y = rows[b].name;
    if (x.tokens != y.tokens) {
      if (natural_less(x.tokens, y.tokens, words)) return true;
      if (natural_less(y.tokens, x.tokens, words)) return false;
    }
    if (x.leaf != y.leaf) return x.leaf < y.leaf;
    return listing.tensors[rows[a].tensor].name < listing.tensors[rows[b].tensor].name;
  });
  std::vector<Module> modules;
  for (const std::size_t index : order) {
    Named& row = rows[index];
    const bool continues =
        !modules.empty() && modules.back().path == row.name.tokens && modules.back().find(row.name.leaf) == nullptr;
    if (!continues) modules.push_back({std::move(row.name.tokens), {}, kRoot, 0, 0});
    modules.back().members.push_back({row.tensor, row.name.leaf, row.name.is_kernel, row.elements});
  }
  return modules;
}

std::uint64_t signature_of(const Module& module) {
  std::uint64_t hash = 0;
  for (const Member& member : module.members)
    if (member.leaf != Leaf::Counter) hash += mixed(static_cast<std::uint64_t>(member.elements));
  return hash;
}

double mass_of(const Module& module) {
  double mass = 0;
  for (const Member& member : module.members) mass += static_cast<double>(member.elements);
  return mass;
}

/// Adds modules to the tree. Modules come in natural order, so the node to branch from is on the last path.
class TreeMaker {
 public:
  explicit TreeMaker(Side& side) : side_(side) {
    side_.nodes.reserve(side.modules.size() + side.modules.size() / 2);
    side_.nodes.push_back({});
  }

  void add(std::uint32_t index) {
    Module& module = side_.modules[index];
    std::size_t depth = 0;  // of what both paths share
    while (depth < last_.size() && depth < module.path.size() && side_.nodes[last_[depth]].token == module.path[depth])
      ++depth;
    last_.resize(depth);
    for (; depth < module.path.size(); ++depth)
      last_.push_back(child(depth == 0 ? kRoot : last_[depth - 1], module.path[depth], index));
    module.node = last_.empty() ? kRoot : last_.back();
    count(module);
  }

 private:
  void count(const Module& module) {
    const std::uint64_t signature = module.signature;
    const double mass = mass_of(module);
    for (NodeId node = module.node;; node = side_.nodes[node].parent) {
      Node& here = side_.nodes[node];
      ++here.modules;
      here.signature += signature;
      here.mass += mass;
      if (node == kRoot) break;
    }
  }

  NodeId child(NodeId parent, const Token& token, std::uint32_t first_module) {
    const std::uint64_t starred = token.is_number() ? 1 : static_cast<std::uint64_t>(token.word) << 1;
    const auto pattern = patterns_.try_emplace(combined(side_.nodes[parent].pattern, starred),
                                               static_cast<std::uint32_t>(patterns_.size() + 1));
    Node node;
    node.parent = parent;
    node.token = token;
    node.depth = side_.nodes[parent].depth + 1;
    node.pattern = pattern.first->second;
    node.first = first_module;
    side_.nodes.push_back(node);
    return static_cast<NodeId>(side_.nodes.size() - 1);
  }

  Side& side_;
  std::vector<NodeId> last_;  ///< nodes of the last module's path
  std::unordered_map<std::uint64_t, std::uint32_t> patterns_;
};

/// Whether the matrix has as many outputs as the norm has elements.
bool scales(const Side& side, const Module& norm, const Module& matrix) {
  const Member& main = matrix.main();
  const Shape& shape = side.shape(main);
  const std::int64_t outputs = main.is_kernel ? shape.back() : shape.front();
  return outputs == norm.main().elements && main.elements > outputs;
}

/// `conv` of `conv, bn`, where nothing else stands under their name: what a norm scales tells it from others of its
/// size.
void find_companions(Side& side) {
  const auto is_matrix = [&](const Module& module) { return side.shape(module.main()).size() >= 2; };
  for (std::uint32_t i = 0; i < side.modules.size(); ++i) {
    if (is_matrix(side.modules[i])) continue;
    NodeId holder = side.modules[i].node;
    while (holder != kRoot && side.nodes[holder].modules < 2) holder = side.nodes[holder].parent;
    if (holder == kRoot || side.nodes[holder].modules != 2) continue;
    const std::uint32_t first = side.nodes[holder].first;
    const Module& other = side.modules[first == i ? first + 1 : first];
    if (is_matrix(other) && scales(side, side.modules[i], other)) side.modules[i].companion = other.main().elements;
  }
}

}  // namespace

const Member* Module::find(Leaf leaf) const {
  for (const Member& member : members)
    if (member.leaf == leaf) return &member;
  return nullptr;
}

const Member& Module::main() const {
  for (const Leaf leaf : {Leaf::Weight, Leaf::Alone, Leaf::Direction})
    if (const Member* member = find(leaf)) return *member;
  return members.front();
}

bool Side::is_below(NodeId node, NodeId above) const {
  while (nodes[node].depth > nodes[above].depth) node = nodes[node].parent;
  return node == above;
}

Side side_of(const Listing& listing, std::span<const std::size_t> tensors, Words& words) {
  std::vector<Named> rows;
  rows.reserve(tensors.size());
  for (const std::size_t index : tensors)
    rows.push_back({parse_name(listing.tensors[index].name, words), index, elements_of(*listing.tensors[index].shape)});
  Side side;
  side.listing = &listing;
  side.modules = modules_of(std::move(rows), listing, words);
  for (Module& module : side.modules) ++side.crowds[module.signature = signature_of(module)];
  TreeMaker maker(side);
  for (std::uint32_t i = 0; i < side.modules.size(); ++i) maker.add(i);
  find_companions(side);
  return side;
}

}  // namespace tenon::match
