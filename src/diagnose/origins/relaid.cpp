// layout_changed, where both sides are whole: the values are the model's with their axes in another order, or with axes
// of one element more or less.
//
// The permutation that fits most tensors of a rank is taken for all that it fits: square ones alone tell nothing. Asked
// after the renames, so that patterns are the model's names.
#include <algorithm>
#include <iterator>
#include <map>
#include <numeric>
#include <string_view>
#include <unordered_map>

#include "base/text.hpp"
#include "diagnose/origins/origin_rules.hpp"
#include "diagnose/origins/origins.hpp"
#include "diagnose/phrases.hpp"
#include "plan/patterns.hpp"

namespace tenon::diagnosis {
namespace {

struct Relaid {
  std::size_t target = 0;
  Shape have, want;
};
using Dims = std::vector<std::int64_t>;

bool fits(const Dims& dims, const Relaid& tensor) {
  for (std::size_t axis = 0; axis < dims.size(); ++axis)
    if (tensor.have[static_cast<std::size_t>(dims[axis])] != tensor.want[axis]) return false;
  return true;
}

/// Layouts in use come first: [h, w, in, out] to [out, in, h, w] and back, and their like of other ranks.
std::vector<Dims> candidates(std::size_t rank) {
  std::vector<Dims> result;
  if (rank == 3) result = {{2, 1, 0}};
  if (rank == 4) result = {{3, 2, 0, 1}, {2, 3, 1, 0}, {2, 3, 0, 1}};
  if (rank == 5) result = {{4, 3, 0, 1, 2}, {2, 3, 4, 1, 0}};
  Dims dims(rank);
  std::iota(dims.begin(), dims.end(), 0);
  if (rank <= 4)
    while (std::next_permutation(dims.begin(), dims.end())) result.push_back(dims);
  return result;
}

/// Tensors that one permutation serves.
struct Permuted {
  Dims dims;
  std::vector<Relaid> tensors;
};

/// The permutation that fits most, then the one that fits most of the rest: depthwise kernels are kept otherwise than
/// the others. Tensors that none fits are left out.
std::vector<Permuted> permutations(std::vector<Relaid> tensors, std::size_t rank) {
  std::vector<Permuted> result;
  const auto all = candidates(rank);
  while (!tensors.empty()) {
    const Dims* best = nullptr;
    std::ptrdiff_t most = 0;
    for (const Dims& dims : all) {
      const auto count =
          std::count_if(tensors.begin(), tensors.end(), [&](const Relaid& tensor) { return fits(dims, tensor); });
      if (count > most) {
        most = count;
        best = &dims;
      }
    }
    if (best == nullptr) return result;
    const auto rest = std::stable_partition(tensors.begin(), tensors.end(),
                                            [&](const Relaid& tensor) { return fits(*best, tensor); });
    result.push_back({*best, {tensors.begin(), rest}});
    tensors.erase(tensors.begin(), rest);
  }
  return result;
}

/// A shape for Reshape that serves all sizes: zeros keep extents, where only ones at the end come or go.
Shape reshape_to(const Shape& have, const Shape& want) {
  const Shape &longer = have.size() > want.size() ? have : want, &shorter = have.size() > want.size() ? want : have;
  const bool only_ones = std::equal(shorter.begin(), shorter.end(), longer.begin()) &&
                         std::all_of(longer.begin() + static_cast<std::ptrdiff_t>(shorter.size()), longer.end(),
                                     [](std::int64_t extent) { return extent == 1; });
  if (!only_ones || shorter.empty()) return want;
  Shape result(want.size(), 1);
  std::fill_n(result.begin(), shorter.size(), 0);
  return result;
}

struct Groups {
  std::map<std::size_t, std::vector<Relaid>> by_rank;            ///< permuted
  std::map<Shape, std::vector<Relaid>> by_shape;                 ///< reshaped
  std::map<std::pair<Shape, Shape>, std::vector<Relaid>> mixed;  ///< permuted, and axes of one element come or go
};

/// Renames are done where all of them can be: where not, another tensor may still bear the model's name.
bool bears_its_name(const Origin& origin, const TensorSpec& want,
                    const std::unordered_map<std::string_view, const Planned*>& state) {
  const auto found = state.find(want.name);
  return found != state.end() && found->second->source == origin.sources[0] &&
         found->second->spec.shape == origin.specs[0].shape;
}

Groups groups_of(const Case& facts) {
  Groups groups;
  std::unordered_map<std::string_view, const Planned*> state;
  for (const Planned& tensor : facts.state.tensors()) state.emplace(tensor.spec.name, &tensor);
  for (std::size_t i = 0; i < facts.origins->of.size(); ++i) {
    const auto& origin = facts.origins->of[i];
    if (!origin || !origin->match.apply || origin->match.from.size() != 1) continue;
    if (!origin->specs[0].shape || !facts.want(i).shape) continue;  // a text tells some names without their shapes
    if (!bears_its_name(*origin, facts.want(i), state)) continue;
    const Relaid tensor{i, *origin->specs[0].shape, *facts.want(i).shape};
    const match::How how = origin->match.how;
    const bool is_permuted = how == match::How::Transpose || how == match::How::Permute;
    if (is_permuted && tensor.have.size() == tensor.want.size())
      groups.by_rank[tensor.have.size()].push_back(tensor);
    else if (is_permuted)
      groups.mixed[{tensor.have, tensor.want}].push_back(tensor);
    if (how == match::How::Reshape) groups.by_shape[reshape_to(tensor.have, tensor.want)].push_back(tensor);
  }
  return groups;
}

std::vector<std::string> patterns_for(const Case& facts, const std::vector<Relaid>& tensors) {
  std::map<std::string_view, bool> wanted;
  for (const Relaid& tensor : tensors) wanted[facts.want(tensor.target).name] = true;
  std::vector<plan::Named> names;
  for (const Planned& tensor : facts.state.tensors())
    names.push_back({tensor.spec.name, wanted.contains(tensor.spec.name)});
  return plan::cover(names);
}

Shape without_ones(const Shape& shape) {
  Shape result;
  std::copy_if(shape.begin(), shape.end(), std::back_inserter(result), [](std::int64_t extent) { return extent != 1; });
  return result;
}

/// Axes of one element go, the rest change places, and such axes come back.
bool add_mixed(const Case& facts, const Shape& have, const Shape& want, const std::vector<Relaid>& tensors,
               std::vector<Op>& ops) {
  const Relaid bare{0, without_ones(have), without_ones(want)};
  const auto found = permutations({bare}, bare.have.size());
  if (found.empty()) return false;
  for (const std::string& pattern : patterns_for(facts, tensors)) {
    if (bare.have != have) ops.push_back({Reshape{pattern, bare.have}, Applicability::Exact});
    ops.push_back({Transpose{pattern, found[0].dims}, Applicability::Exact});
    if (bare.want != want) ops.push_back({Reshape{pattern, want}, Applicability::Exact});
  }
  return true;
}

std::string dims_text(const Dims& dims) { return base::shape_text(dims); }

}  // namespace

std::optional<Finding> find_relaid_origins(const Case& facts) {
  const Groups groups = groups_of(facts);
  Finding finding;
  Cause& cause = finding.cause;
  const auto show = [&](const Relaid& tensor) {
    const std::string& name = facts.want(tensor.target).name;
    if (cause.picture.size() < 3)
      cause.picture.push_back(
          {name + " " + base::shape_text(tensor.have), name + " " + base::shape_text(tensor.want), ""});
  };
  for (const auto& [rank, members] : groups.by_rank)
    for (const auto& [dims, tensors] : permutations(members, rank)) {
      for (std::string& pattern : patterns_for(facts, tensors))
        finding.ops.push_back({Transpose{std::move(pattern), dims}, Applicability::Exact});
      cause.keys += tensors.size();
      cause.evidence.push_back("the permutation " + dims_text(dims) + " fits " + base::count_text(tensors.size()) +
                               " of " + base::count_text(members.size()) + " tensors with " + std::to_string(rank) +
                               " axes");
      show(tensors.front());
    }
  for (const auto& [shapes, tensors] : groups.mixed) {
    if (!add_mixed(facts, shapes.first, shapes.second, tensors, finding.ops)) continue;
    cause.keys += tensors.size();
    cause.evidence.push_back(base::plural(tensors.size(), "tensor") + " from " + dims_text(shapes.first) + " to " +
                             dims_text(shapes.second) + ": axes of one element aside, one order of axes fits");
    show(tensors.front());
  }
  for (const auto& [shape, tensors] : groups.by_shape) {
    for (std::string& pattern : patterns_for(facts, tensors))
      finding.ops.push_back({Reshape{std::move(pattern), shape}, Applicability::Exact});
    cause.keys += tensors.size();
    cause.evidence.push_back(base::plural(tensors.size(), "tensor") + " with equally many elements, in order, as " +
                             dims_text(shape));
    show(tensors.front());
  }
  if (finding.ops.empty()) return std::nullopt;
  cause.confidence = 0.97;
  cause.summary = base::plural(cause.keys, "tensor") + (cause.keys == 1 ? " has its" : " have their") +
                  " axes in another order or shape than in the model";
  cause.place = place_of(facts);
  cause.why =
      "one side keeps the inputs before the outputs (Conv1D, Keras, Flax), or keeps axes of one element; the values "
      "are the same";
  return finding;
}

}  // namespace tenon::diagnosis
