// Tables and filters whose extents follow from the input: resized, cut, filled up or summed.
#include "base/whole_root.hpp"
#include "diagnose/families.hpp"
#include "diagnose/names.hpp"
#include "diagnose/repairs/repairs.hpp"
#include "diagnose/shape_relation.hpp"

namespace tenon::diagnosis {
namespace {

bool is_square(std::int64_t count) { return base::whole_root(count).value_or(0) > 1; }

/// Squares of places behind the same number of tokens, 0 to 2, on both sides.
bool are_grids(std::int64_t a, std::int64_t b) {
  for (std::int64_t tokens = 0; tokens <= 2; ++tokens)
    if (is_square(a - tokens) && is_square(b - tokens)) return true;
  return false;
}

/// Buffers that the code computes from the size: indexes, masks, coordinates.
bool is_derived(std::string_view name) {
  const std::string_view leaf = leaf_of(name);
  return leaf.find("index") != std::string_view::npos || leaf.find("mask") != std::string_view::npos ||
         leaf.find("coords") != std::string_view::npos;
}

using Repair = std::vector<Op> (*)(const std::string& name, const Shape& have, const Shape& want);

std::vector<Op> resize(const std::string& name, const Shape& have, const Shape& want) {
  if (is_derived(name)) return {{KeepTarget{name}, Applicability::Exact}};
  const auto axis = only_axis(have, want);
  if (!axis || !are_grids(have[*axis], want[*axis])) return {};
  Shape shape(want.size(), 0);
  shape[*axis] = want[*axis];
  return {{Resize{name, shape, ResizeMode::Bicubic}, Applicability::Lossy}};
}

std::vector<Op> resize_rows(const std::string& name, const Shape& have, const Shape& want) {
  if (only_axis(have, want) != std::size_t{0}) return {};
  return {{ResizeRows{name, want[0]}, Applicability::Lossy}};
}

std::vector<Op> inflate(const std::string& name, const Shape& have, const Shape& want) {
  const bool is_convolution = have.size() >= 3 && only_axis(have, want) == std::size_t{1};
  if (!is_convolution || (have[1] != 1 && have[1] != 3)) return {};
  return {{InflateChannels{name, want[1]}, Applicability::Lossy}};
}

Repair repair_for(std::string_view id) {
  if (id == "resolution_changed") return resize;
  if (id == "vocab_changed") return resize_rows;
  if (id == "input_channels_changed") return inflate;
  return nullptr;
}

}  // namespace

std::vector<Op> repair_of(std::string_view id, const Case& facts, const Finding& finding) {
  const Repair repair = repair_for(id);
  if (repair == nullptr || facts.knowledge != Knowledge::Whole) return {};
  std::vector<bool> is_told(facts.target.tensors.size(), false);
  for (const std::size_t index : finding.told_want) is_told[index] = true;
  std::vector<Op> ops;
  for (const Pair& pair : facts.gap.mismatched) {
    if (!is_told[pair.target]) continue;
    auto one = repair(facts.want(pair.target).name, *facts.have(pair.state).shape, *facts.want(pair.target).shape);
    if (one.empty()) return {};  // half a repair would be taken for a whole one
    ops.insert(ops.end(), one.begin(), one.end());
  }
  return ops;
}

}  // namespace tenon::diagnosis
