// fused_or_split, where both sides are whole: one tensor of a side is several of the other.
//
// That the sizes add up says which tensors belong together, not in which order the parts lie. Where the name is that of
// torch's own MultiheadAttention (`in_proj_weight`: q, k, v) or spells gate and up, the order is known; else the plan
// says `guess`.
#include <algorithm>
#include <compare>
#include <iterator>
#include <map>
#include <set>
#include <tuple>

#include "base/text.hpp"
#include "diagnose/origins/name_rules.hpp"
#include "diagnose/origins/origin_rules.hpp"
#include "diagnose/origins/origins.hpp"
#include "diagnose/phrases.hpp"
#include "plan/patterns.hpp"

namespace tenon::diagnosis {
namespace {

/// What brings the whole into the form that its parts make: an order of axes or a shape; the other is empty.
struct Step {
  std::vector<std::int64_t> dims;
  Shape shape;
  friend auto operator<=>(const Step&, const Step&) = default;
};
using Steps = std::vector<Step>;

/// One whole and its parts, in the order in which they are said to lie.
struct Fused {
  std::string whole;
  std::vector<std::string> parts;
  Shape whole_shape;
  std::vector<Shape> part_shapes;
  Steps steps;          ///< of the whole, before it is cut
  std::size_t dim = 0;  ///< of the whole after them

  std::vector<std::int64_t> sizes() const {
    std::vector<std::int64_t> result;
    for (const Shape& shape : part_shapes) result.push_back(shape[dim]);
    return result;
  }
};

/// The axis along which the parts add up to the whole; nothing where their other axes differ (transposed as well).
std::optional<std::size_t> axis_of(const Shape& whole, const std::vector<Shape>& parts) {
  for (std::size_t dim = 0; dim < whole.size(); ++dim) {
    std::int64_t sum = 0;
    const bool fits = std::all_of(parts.begin(), parts.end(), [&](const Shape& part) {
      if (part.size() != whole.size()) return false;
      for (std::size_t axis = 0; axis < whole.size(); ++axis)
        if (axis != dim && part[axis] != whole[axis]) return false;
      sum += part[dim];
      return true;
    });
    if (fits && sum == whole[dim]) return dim;
  }
  return std::nullopt;
}

Shape after(Shape shape, const Steps& steps) {
  for (const Step& step : steps) {
    const Shape before = shape;
    for (std::size_t axis = 0; axis < step.dims.size(); ++axis)
      shape[axis] = before[static_cast<std::size_t>(step.dims[axis])];
    if (step.dims.empty()) shape = step.shape;
  }
  return shape;
}

/// The ways in which a whole may be kept: as it is, with inputs before outputs, with axes of one element, or with its
/// parts (experts) along an axis of their own.
std::vector<Steps> ways_of(const Shape& whole, bool is_transposing) {
  std::vector<Steps> ways(1);
  Shape squeezed;
  std::copy_if(whole.begin(), whole.end(), std::back_inserter(squeezed),
               [](std::int64_t extent) { return extent != 1; });
  const Step transpose{{1, 0}, {}}, squeeze{{}, squeezed};
  if (whole.size() == 2) ways.push_back(Steps{transpose});
  if (is_transposing) std::reverse(ways.begin(), ways.end());
  if (squeezed.size() < whole.size()) {
    ways.push_back(Steps{squeeze});
    if (squeezed.size() == 2) ways.insert(is_transposing ? ways.end() - 1 : ways.end(), Steps{squeeze, transpose});
  }
  if (whole.size() == 3) {
    ways.push_back(Steps{Step{{}, {whole[0] * whole[1], whole[2]}}});
    ways.push_back(Steps{Step{{0, 2, 1}, {}}, Step{{}, {whole[0] * whole[2], whole[1]}}});
  }
  return ways;
}

/// Finds how the whole is cut; false where its parts need more than one axis and these ways.
bool settle_cut(Fused& fused, bool is_transposing) {
  for (Steps& steps : ways_of(fused.whole_shape, is_transposing)) {
    const auto dim = axis_of(after(fused.whole_shape, steps), fused.part_shapes);
    if (!dim) continue;
    fused.steps = std::move(steps);
    fused.dim = *dim;
    return true;
  }
  return false;
}

/// Whether matrices of this pair are mostly kept the other way round: then square ones are, too.
bool is_transposing(const Case& facts) {
  std::size_t turned = 0, kept = 0;
  for (const auto& origin : facts.origins->of) {
    if (!origin || !origin->match.apply) continue;
    if (!origin->specs[0].shape || origin->specs[0].shape->size() != 2) continue;
    if (origin->match.how == match::How::Transpose) ++turned;
    if (origin->match.how == match::How::Rename) ++kept;
  }
  return turned > kept;
}

/// Splits in which every part is wanted, by whole.
std::vector<Fused> splits_of(const Case& facts) {
  std::map<std::string, std::map<std::uint32_t, std::size_t>> wholes;
  std::map<std::string, std::uint32_t> counts;
  for (std::size_t i = 0; i < facts.origins->of.size(); ++i) {
    const auto& origin = facts.origins->of[i];
    if (!origin || origin->match.how != match::How::Split || !origin->match.apply) continue;
    wholes[origin->specs[0].name][origin->match.part] = i;
    counts[origin->specs[0].name] = origin->match.parts;
  }
  const bool is_turned = is_transposing(facts);
  std::vector<Fused> result;
  for (const auto& [name, parts] : wholes) {
    if (parts.size() != counts[name]) continue;
    Fused fused{name, {}, *facts.origins->of[parts.begin()->second]->specs[0].shape, {}, {}, 0};
    for (const auto& [part, target] : parts) {
      fused.parts.push_back(facts.want(target).name);
      fused.part_shapes.push_back(*facts.want(target).shape);
    }
    if (settle_cut(fused, is_turned)) result.push_back(std::move(fused));
  }
  return result;
}

std::vector<Fused> fuses_of(const Case& facts) {
  const bool is_turned = is_transposing(facts);
  std::vector<Fused> result;
  for (std::size_t i = 0; i < facts.origins->of.size(); ++i) {
    const auto& origin = facts.origins->of[i];
    if (!origin || origin->match.how != match::How::Fuse || !origin->match.apply) continue;
    Fused fused{facts.want(i).name, {}, *facts.want(i).shape, {}, {}, 0};
    for (const TensorSpec& spec : origin->specs) {
      fused.parts.push_back(spec.name);
      fused.part_shapes.push_back(*spec.shape);
    }
    if (settle_cut(fused, is_turned)) result.push_back(std::move(fused));
  }
  return result;
}

bool is_order_known(const Fused& fused) {
  const std::string& whole = fused.whole;
  if (!fused.steps.empty() && fused.whole_shape.size() == 3 && fused.whole_shape[0] > 1) return true;  // by number
  return whole.find("in_proj_") != std::string::npos || whole.find("gate_up") != std::string::npos ||
         whole.find("w12") != std::string::npos;
}

Applicability applicability_of(const std::vector<const Fused*>& group) {
  const bool known = std::all_of(group.begin(), group.end(), [](const Fused* fused) { return is_order_known(*fused); });
  return known ? Applicability::Exact : Applicability::Guess;
}

/// Those that one operation can cut: along one axis into parts of the same sizes.
std::vector<std::vector<const Fused*>> grouped(const std::vector<Fused>& all) {
  std::map<std::tuple<Steps, std::size_t, std::vector<std::int64_t>>, std::vector<const Fused*>> groups;
  for (const Fused& fused : all) groups[{fused.steps, fused.dim, fused.sizes()}].push_back(&fused);
  std::vector<std::vector<const Fused*>> result;
  for (auto& [key, group] : groups) result.push_back(std::move(group));
  return result;
}

/// Patterns for the wholes of a group among `names`.
std::vector<std::string> patterns_for(const std::vector<const Fused*>& group, const std::vector<std::string>& names) {
  std::set<std::string_view> wanted;
  for (const Fused* fused : group) wanted.insert(fused->whole);
  std::vector<plan::Named> all;
  for (const std::string& name : names) all.push_back({name, wanted.contains(name)});
  return plan::cover(all);
}

void add_step(const Step& step, const std::vector<std::string>& patterns, std::vector<Op>& ops) {
  for (const std::string& pattern : patterns)
    if (step.dims.empty())
      ops.push_back({Reshape{pattern, step.shape}, Applicability::Exact});
    else
      ops.push_back({Transpose{pattern, step.dims}, Applicability::Exact});
}

void add_splits(const std::vector<Fused>& splits, const std::vector<std::string>& names, std::vector<Op>& ops) {
  for (const auto& group : grouped(splits)) {
    if (!group[0]->steps.empty())
      for (const Step& step : group[0]->steps) add_step(step, patterns_for(group, names), ops);
    std::vector<NameChange> changes;
    for (const Fused* fused : group) changes.push_back({fused->whole, fused->parts});
    auto sizes = group[0]->sizes();
    const bool are_equal = std::all_of(sizes.begin(), sizes.end(), [&](std::int64_t size) { return size == sizes[0]; });
    if (are_equal) sizes.clear();
    for (NameRule& rule : name_rules(changes, names))
      ops.push_back(
          {Split{rule.from, std::move(rule.to), static_cast<std::int64_t>(group[0]->dim), sizes, 1, rule.is_regex},
           applicability_of(group)});
  }
}

/// A fuse looks for its parts by expressions of their own, which must give one name: rules are made for each part, and
/// used where they agree.
void add_fuse_group(const std::vector<const Fused*>& group, const std::vector<std::string>& names,
                    std::vector<Op>& ops) {
  const auto dim = static_cast<std::int64_t>(group[0]->dim);
  std::vector<std::vector<NameRule>> rules;
  for (std::size_t part = 0; part < group[0]->parts.size(); ++part) {
    std::vector<NameChange> changes;
    for (const Fused* fused : group) changes.push_back({fused->parts[part], {fused->whole}});
    rules.push_back(name_rules(changes, names));
  }
  const auto agrees = [&](const std::vector<NameRule>& other) {
    return std::equal(other.begin(), other.end(), rules[0].begin(), rules[0].end(),
                      [](const NameRule& a, const NameRule& b) {
                        return a.to == b.to && a.is_regex == b.is_regex && a.changes == b.changes;
                      });
  };
  if (!std::all_of(rules.begin(), rules.end(), agrees)) {
    for (const Fused* fused : group)
      ops.push_back({Fuse{fused->parts, fused->whole, dim, 1, false}, applicability_of(group)});
    return;
  }
  for (std::size_t k = 0; k < rules[0].size(); ++k) {
    Fuse fuse{{}, rules[0][k].to[0], dim, 1, rules[0][k].is_regex};
    for (const auto& part : rules) fuse.from.push_back(part[k].from);
    ops.push_back({std::move(fuse), applicability_of(group)});
  }
}

/// What a step is undone by: all axes change places two by two, so that a transpose undoes itself.
void add_undone(const Fused& fused, const std::vector<std::string>& patterns, std::vector<Op>& ops) {
  for (std::size_t k = fused.steps.size(); k-- > 0;) {
    const Steps before(fused.steps.begin(), fused.steps.begin() + static_cast<std::ptrdiff_t>(k));
    const Step& step = fused.steps[k];
    add_step(step.dims.empty() ? Step{{}, after(fused.whole_shape, before)} : step, patterns, ops);
  }
}

void add_fuses(const std::vector<Fused>& fuses, const std::vector<std::string>& names, std::vector<Op>& ops) {
  std::vector<std::string> all = names;
  for (const Fused& fused : fuses) all.push_back(fused.whole);
  std::map<std::tuple<Steps, Shape, std::size_t, std::size_t>, std::vector<const Fused*>> groups;
  for (const Fused& fused : fuses) {
    const Shape shape = fused.steps.empty() ? Shape{} : fused.whole_shape;
    groups[{fused.steps, shape, fused.dim, fused.parts.size()}].push_back(&fused);
  }
  for (const auto& [key, group] : groups) {
    add_fuse_group(group, names, ops);
    if (!group[0]->steps.empty()) add_undone(*group[0], patterns_for(group, all), ops);
  }
}

std::vector<PictureRow> picture(const std::vector<Fused>& splits, const std::vector<Fused>& fuses) {
  std::vector<PictureRow> rows;
  if (!splits.empty())
    for (std::size_t k = 0; k < splits[0].parts.size(); ++k)
      rows.push_back({splits[0].whole, splits[0].parts[k], base::shape_text(splits[0].part_shapes[k])});
  else
    for (std::size_t k = 0; k < fuses[0].parts.size(); ++k)
      rows.push_back({fuses[0].parts[k], fuses[0].whole, base::shape_text(fuses[0].part_shapes[k])});
  return rows;
}

}  // namespace

std::optional<Finding> find_fused_origins(const Case& facts) {
  const auto splits = splits_of(facts), fuses = fuses_of(facts);
  if (splits.empty() && fuses.empty()) return std::nullopt;
  std::vector<std::string> names;
  for (const Planned& tensor : facts.state.tensors()) names.push_back(tensor.spec.name);
  Finding finding;
  add_splits(splits, names, finding.ops);
  add_fuses(fuses, names, finding.ops);
  const bool is_guess = std::any_of(finding.ops.begin(), finding.ops.end(),
                                    [](const Op& op) { return op.applicability == Applicability::Guess; });
  const Fused& first = splits.empty() ? fuses[0] : splits[0];
  Cause& cause = finding.cause;
  cause.confidence = 0.97;
  for (const auto& list : {splits, fuses})
    for (const Fused& fused : list) cause.keys += fused.parts.size();
  cause.summary = base::plural(splits.size() + fuses.size(), "tensor") + " of " +
                  (splits.empty() ? "the model are each several of the checkpoint"
                                  : "the checkpoint are each several of the model") +
                  ": " + quoted(first.whole);
  cause.place = place_of(facts);
  cause.why = "one side computes the projections in one multiplication and keeps them in one tensor";
  cause.evidence = {"the parts add up to the whole along axis " + std::to_string(first.dim) + " in " +
                    base::count_text(splits.size() + fuses.size()) + " of " +
                    base::count_text(splits.size() + fuses.size()) + ", weights and biases alike"};
  if (is_guess)
    cause.notes.push_back(
        "shapes do not tell the order of the parts: q, k, v in blocks is the usual one, k, v, q and "
        "one head after the other occur; a probe or the code that saved the file decides");
  cause.picture = picture(splits, fuses);
  return finding;
}

}  // namespace tenon::diagnosis
