// invert: the plan that leads back. Each operation is turned round against the state it worked on, and the result is
// rehearsed to prove that it gives every name, shape and dtype back.
#include <algorithm>
#include <map>
#include <set>
#include <unordered_map>
#include <unordered_set>

#include <tenon/error.hpp>
#include <tenon/plan.hpp>

#include "base/text.hpp"
#include "plan/limits.hpp"
#include "plan/name_map.hpp"
#include "plan/name_template.hpp"
#include "plan/state.hpp"

namespace tenon {
namespace {

using plan::NameMap;
using Tensors = std::vector<Planned>;
using Ops = std::vector<Op>;

constexpr std::uint64_t kMaxInvertSteps = 100'000'000;

/// Permutation that undoes `dims`; they are distinct and in range, as the forward run proved even of tensors whose
/// shape nobody knows.
std::vector<std::int64_t> undone(const std::vector<std::int64_t>& dims) {
  const auto rank = static_cast<std::int64_t>(dims.size());
  std::vector<std::int64_t> result(dims.size());
  for (std::int64_t i = 0; i < rank; ++i) {
    const std::int64_t dim = dims[static_cast<std::size_t>(i)];
    result[static_cast<std::size_t>(dim < 0 ? dim + rank : dim)] = i;
  }
  return result;
}

/// Exact renames; by way of names that nobody bears where old and new ones overlap.
Ops renames(const std::vector<std::pair<std::string, std::string>>& pairs, const Tensors& now) {
  std::unordered_set<std::string> taken;
  for (const Planned& tensor : now) taken.insert(tensor.spec.name);
  const bool overlaps =
      std::any_of(pairs.begin(), pairs.end(), [&](const auto& pair) { return taken.contains(pair.second); });
  Ops first, second;
  for (const auto& [from, to] : pairs) {
    std::string between = to;
    while (overlaps && taken.contains(between)) between += "~";
    if (overlaps) taken.insert(between);
    first.push_back({Rename{from, between}});
    if (between != to) second.push_back({Rename{between, to}});
  }
  first.insert(first.end(), second.begin(), second.end());
  return first;
}

/// Turns one operation round, given the tensors before and after it.
class Inversion {
 public:
  Inversion(const Tensors& before, const Tensors& after, const Op& op) : before_(before), after_(after), op_(op) {}

  Ops operator()(const StripPrefix& op) const {
    const bool all = std::all_of(before_.begin(), before_.end(),
                                 [&](const Planned& tensor) { return tensor.spec.name.starts_with(op.prefix); });
    return all ? Ops{{AddPrefix{op.prefix}}} : renamed();
  }
  Ops operator()(const AddPrefix& op) const { return {{StripPrefix{op.prefix}}}; }
  Ops operator()(const Unwrap& op) const {
    if (after_.size() != before_.size()) throw no_inverse("it leaves tensors out");
    return {{AddPrefix{op.path + "."}}};
  }
  Ops operator()(const Rename& op) const {
    if (!op.regex) return {{Rename{op.to, op.from}}};
    if (const auto back = plan::turned(op.from, op.to)) {
      const Ops ops{{Rename{back->from, back->to, true}}};
      if (leads_back(ops)) return ops;
    }
    return renamed();
  }
  Ops operator()(const Drop&) const { throw no_inverse("what it leaves out is in no file"); }
  Ops operator()(const KeepTarget&) const {
    if (after_.size() != before_.size()) throw no_inverse("what it leaves out is in no file");
    return {};
  }
  Ops operator()(const Cast& op) const {
    if (op_.applicability != Applicability::Exact) throw no_inverse("it rounds values");
    Ops back;
    for (std::size_t i = 0; i < before_.size(); ++i)
      if (const auto dtype = before_[i].spec.dtype; dtype && dtype != after_[i].spec.dtype)
        back.push_back({Cast{before_[i].spec.name, *dtype}});
    const auto one_dtype = [&](const Op& cast) {
      return std::get<Cast>(cast.operation).dtype == std::get<Cast>(back.front().operation).dtype;
    };
    if (!back.empty() && std::all_of(back.begin(), back.end(), one_dtype)) {
      const Ops ops{{Cast{op.pattern, std::get<Cast>(back.front().operation).dtype}}};
      if (leads_back(ops)) return ops;
    }
    return back;
  }
  Ops operator()(const Transpose& op) const { return {{Transpose{op.pattern, undone(op.dims)}}}; }
  Ops operator()(const Reorder& op) const {
    const auto rank = static_cast<std::int64_t>(op.dims.size());
    Shape view;
    for (const std::int64_t dim : op.dims)
      view.push_back(op.view[static_cast<std::size_t>(dim < 0 ? dim + rank : dim)]);
    return {{Reorder{op.pattern, op.dim, view, undone(op.dims)}}};
  }
  Ops operator()(const Reshape& op) const {
    Ops back;
    std::set<Shape> relative;
    for (std::size_t i = 0; i < before_.size(); ++i) {
      if (before_[i].spec.shape == after_[i].spec.shape || !before_[i].spec.shape) continue;
      const Shape &was = *before_[i].spec.shape, &is = *after_[i].spec.shape;
      back.push_back({Reshape{before_[i].spec.name, given(was, is)}});
      Shape kept = given(was, is);
      for (std::size_t axis = 0; axis < was.size() && axis < is.size(); ++axis)
        if (was[axis] == is[axis]) kept[axis] = 0;
      relative.insert(kept);
    }
    if (relative.size() == 1) {
      const Ops ops{{Reshape{op.pattern, *relative.begin()}}};
      if (leads_back(ops)) return ops;
    }
    return back;
  }
  Ops operator()(const Split& op) const {
    if (!op.regex) return {{Fuse{op.to, op.from, op.dim, op.groups}}};
    Fuse whole{{}, {}, op.dim, op.groups, true};
    for (const std::string& part : op.to) {
      const auto back = plan::turned(op.from, part);
      if (!back || (!whole.to.empty() && whole.to != back->to)) return fused(op);
      whole.from.push_back(back->from);
      whole.to = back->to;
    }
    const Ops ops{{std::move(whole)}};
    return leads_back(ops) ? ops : fused(op);
  }
  Ops operator()(const Fuse& op) const {
    const Ops single = split(op);
    if (!op.regex || single.empty()) return single;
    const auto back = plan::turned(op.from, op.to);
    if (!back) return single;
    Split all = std::get<Split>(single.front().operation);
    all.from = back->from;
    all.to = back->to;
    all.regex = true;
    const Ops ops{{std::move(all)}};
    return leads_back(ops) ? ops : single;
  }
  Ops operator()(const Tie& op) const {
    const NameMap map(op.from, op.regex);
    Ops back;
    for (const Planned& tensor : before_)
      if (const auto to = map(tensor.spec.name, op.to)) back.push_back({Drop{*to}});
    return back;
  }
  template <class Computed>
  Ops operator()(const Computed&) const {
    throw no_inverse("it computes values");
  }

 private:
  Error no_inverse(std::string why) const {
    return Error(Code::Unsupported, {{}, {}, to_json(op_), {}}, "an operation of the plan has no inverse",
                 "operations that keep all values", std::move(why),
                 "invert the part of the plan before it, or keep the old file");
  }

  /// The shape in the words of Reshape, where 0 keeps an extent: an extent that is 0 and was another is left open.
  Shape given(const Shape& wanted, const Shape& current) const {
    Shape result = wanted;
    bool is_open = false;
    for (std::size_t axis = 0; axis < wanted.size(); ++axis) {
      if (wanted[axis] != 0 || (axis < current.size() && current[axis] == 0)) continue;
      if (is_open) throw no_inverse("the shape of an empty tensor cannot be told");
      is_open = true;
      result[axis] = -1;
    }
    return result;
  }

  /// One exact rename for each tensor whose name changed.
  Ops renamed() const {
    std::vector<std::pair<std::string, std::string>> pairs;
    for (std::size_t i = 0; i < before_.size(); ++i)
      if (before_[i].spec.name != after_[i].spec.name) pairs.emplace_back(after_[i].spec.name, before_[i].spec.name);
    return renames(pairs, after_);
  }

  Ops fused(const Split& op) const {
    const NameMap map(op.from, true);
    Ops back;
    for (const Planned& tensor : before_) {
      if (!map(tensor.spec.name, op.to.front())) continue;
      Fuse whole{{}, tensor.spec.name, op.dim, op.groups};
      for (const std::string& part : op.to) whole.from.push_back(*map(tensor.spec.name, part));
      back.push_back({std::move(whole)});
    }
    return back;
  }

  /// One split for each fused tensor, with the extents of its parts where they differ.
  Ops split(const Fuse& op) const {
    std::map<std::string, Split> by_name;
    for (const std::string& from : op.from) {
      const NameMap map(from, op.regex);
      for (const Planned& tensor : before_) {
        const auto to = map(tensor.spec.name, op.to);
        if (!to) continue;
        Split& part = by_name.try_emplace(*to, Split{*to, {}, op.dim, {}, op.groups}).first->second;
        part.to.push_back(tensor.spec.name);
        if (!tensor.spec.shape) continue;
        const auto rank = static_cast<std::int64_t>(tensor.spec.shape->size());
        const std::int64_t axis = op.dim < 0 ? op.dim + rank : op.dim;
        if (axis < 0 || axis >= rank) continue;  // beside a part of unknown shape, the forward run checks none
        part.sizes.push_back((*tensor.spec.shape)[static_cast<std::size_t>(axis)]);
      }
    }
    Ops back;
    for (auto& [name, part] : by_name) {
      const bool equal =
          std::adjacent_find(part.sizes.begin(), part.sizes.end(), std::not_equal_to<>()) == part.sizes.end();
      if (equal || part.sizes.size() != part.to.size()) part.sizes.clear();
      back.push_back({std::move(part)});
    }
    return back;
  }

  /// Whether these operations make the state before of the state after.
  bool leads_back(const Ops& ops) const;

  const Tensors& before_;
  const Tensors& after_;
  const Op& op_;
};

Listing listing_of(const Tensors& tensors) {
  Listing listing;
  for (const Planned& tensor : tensors) listing.tensors.push_back(tensor.spec);
  return listing;
}

using Facts = std::tuple<std::string, std::optional<Shape>, std::optional<DType>>;
std::vector<Facts> facts_of(const Tensors& tensors) {
  std::vector<Facts> facts;
  for (const Planned& tensor : tensors) facts.emplace_back(tensor.spec.name, tensor.spec.shape, tensor.spec.dtype);
  std::sort(facts.begin(), facts.end());
  return facts;
}

bool Inversion::leads_back(const Ops& ops) const {
  plan::State state(listing_of(after_));
  for (const Op& op : ops)
    if (state.run(op) == 0) return false;
  return facts_of(state.tensors()) == facts_of(before_);
}

}  // namespace

Plan invert(const Plan& plan, const Listing& checkpoint) {
  if (plan.ops.size() * (checkpoint.tensors.size() + 1) > kMaxInvertSteps)
    throw Error(Code::Limit, {checkpoint.label, {}, {}, {}}, "the plan has too many operations to turn it round",
                base::count_text(kMaxInvertSteps / (checkpoint.tensors.size() + 1)), base::count_text(plan.ops.size()));
  static_cast<void>(rehearse(plan, checkpoint));  // refuses what cannot be carried out in the first place
  plan::State state(checkpoint);
  const Tensors start = state.tensors();
  std::vector<Ops> steps;
  for (const Op& op : plan.ops) {
    const Tensors before = state.tensors();
    state.run(op);
    steps.push_back(std::visit(Inversion(before, state.tensors(), op), op.operation));
  }
  Plan inverse;
  for (auto step = steps.rbegin(); step != steps.rend(); ++step)
    inverse.ops.insert(inverse.ops.end(), step->begin(), step->end());
  const Rehearsal back = rehearse(inverse, listing_of(state.tensors()));
  if (facts_of(back.tensors) != facts_of(start))
    throw Error(Code::Unsupported, {checkpoint.label, {}, {}, {}}, "the plan cannot be turned round",
                "a plan whose every operation keeps names apart", "names that lead to other tensors on the way back");
  return inverse;
}

}  // namespace tenon
