// apply: a plan carried out on values. Names, shapes and dtypes come from the rehearsal; here every target tensor gets
// a recipe for its bytes, which runs when it is saved. Nothing is read before that.
#include <tenon/plan.hpp>

#include <algorithm>
#include <memory>
#include <unordered_map>

#include <tenon/error.hpp>

#include "apply/evaluate.hpp"
#include "apply/notes.hpp"
#include "base/text.hpp"

namespace tenon {

Tensor evaluate(const Planned& planned, const Listing& checkpoint, const Listing& target) {
  return apply_plan::evaluate(*recipe_of(planned), apply_plan::Values(checkpoint, target), planned.spec.name);
}

namespace {

using apply_plan::Values;

/// Makes one tensor of the result when it is saved.
struct Load {
  std::shared_ptr<const Values> values;
  Recipe recipe;
  std::string name;

  Tensor operator()() const { return apply_plan::evaluate(*recipe, *values, name); }
};

/// Tensors that are made in one way of one place of one storage stay one in what is written.
class Sharing {
 public:
  explicit Sharing(const Values& values) : values_(values) {}

  void number(SnapshotTensor& tensor, const RecipeNode& recipe) {
    const std::string way = text(recipe);
    if (!way.empty()) tensor.storage = numbers_.try_emplace(way, numbers_.size()).first->second;
  }

 private:
  /// The tree in words; empty where the name decides, too, or the tree is large.
  std::string text(const RecipeNode& node) const {
    if (const auto* leaf = std::get_if<FromCheckpoint>(&node.step)) return place(leaf->index);
    if (node.leaves != 1) return {};
    const std::string below = text(*node.inputs.front());
    const std::string step = words(node);
    return below.empty() || step.empty() ? std::string() : below + step;
  }

  std::string place(std::size_t listed) const {
    const auto index = values_.stored(listed);
    if (!index) return {};
    const TensorInfo& info = values_.checkpoint().tensors()[*index];
    return std::to_string(info.storage) + " " + std::to_string(info.offset_bytes) + " " + base::shape_text(info.shape) +
           base::shape_text(info.stride) + std::string(dtype_name(info.dtype)) +
           (info.encoding.is_plain() ? "" : " encoded " + std::to_string(*index));
  }

  static std::string words(const RecipeNode& node) {
    std::string made = base::shape_text(node.shape.value_or(Shape{}));
    made += node.dtype ? std::string(dtype_name(*node.dtype)) : "";
    if (const auto* step = std::get_if<Permute>(&node.step)) {
      made += " permute";
      for (const std::size_t dim : step->dims) made += " " + std::to_string(dim);
      return made;
    }
    if (std::holds_alternative<View>(node.step)) return made + " view";
    if (std::holds_alternative<Convert>(node.step)) return made + " cast";
    if (const auto* step = std::get_if<Slice>(&node.step))
      return made + " slice " + std::to_string(step->dim) + " " + std::to_string(step->first);
    return {};
  }

  const Values& values_;
  std::unordered_map<std::string, std::uint64_t> numbers_;
};

/// A tensor of the result, made of the checkpoint.
SnapshotTensor made(const Planned& planned, const std::string& name, const std::shared_ptr<const Values>& values) {
  SnapshotTensor tensor;
  tensor.name = name;
  tensor.shape = planned.spec.shape.value_or(Shape{});
  // The dtype of what is added to the target's own tensor is the target's.
  if (planned.spec.dtype)
    tensor.dtype = *planned.spec.dtype;
  else if (const auto own = values->own(name))
    tensor.dtype = values->target().tensors()[*own].dtype;
  tensor.requires_grad = planned.spec.requires_grad;
  tensor.load = Load{values, recipe_of(planned), name};
  return tensor;
}

SnapshotTensor kept(std::size_t index, const std::string& name, const std::shared_ptr<const Values>& values) {
  const TensorInfo& info = values->target().tensors()[index];
  SnapshotTensor tensor;
  tensor.name = name;
  tensor.dtype = info.dtype;
  tensor.shape = info.shape;
  tensor.requires_grad = info.requires_grad;
  tensor.load = [values, index] { return values->target().tensor(index); };
  return tensor;
}

/// KeepTarget may match nothing in the checkpoint, but then it must match something in the target.
void require_kept(const Rehearsal& rehearsal, const Plan& plan, const Listing& checkpoint, const Listing& target) {
  for (const std::string& pattern : rehearsal.kept_patterns) {
    const auto matches = [&](const TensorSpec& spec) { return base::glob_match(pattern, spec.name); };
    if (std::any_of(target.tensors.begin(), target.tensors.end(), matches)) continue;
    for (const Op& op : plan.ops)
      if (const auto* kept = std::get_if<KeepTarget>(&op.operation); kept != nullptr && kept->pattern == pattern)
        throw Error(Code::Invalid, {checkpoint.label, {}, {}, {}}, "an operation of the plan matches nothing",
                    "a tensor of the target that it keeps", to_json(op),
                    "take the operation out of the plan, or correct it");
  }
}

}  // namespace

ApplyResult apply(const Plan& plan, const Listing& checkpoint, const Listing& target) {
  if (!checkpoint.values)
    throw Error(Code::Invalid, {checkpoint.label, {}, {}, {}}, "a plan cannot be applied to a blueprint",
                "a checkpoint with values", "names, shapes and dtypes only", "give the checkpoint itself");
  const Rehearsal rehearsal = rehearse(plan, checkpoint);
  require_kept(rehearsal, plan, checkpoint, target);

  std::unordered_map<std::string_view, const Planned*> planned;
  for (const Planned& tensor : rehearsal.tensors) planned.emplace(tensor.spec.name, &tensor);
  const auto values = std::make_shared<const Values>(checkpoint, target);
  const auto merges = [](const Op& op) { return std::holds_alternative<MergeLora>(op.operation); };
  if (std::any_of(plan.ops.begin(), plan.ops.end(), merges)) static_cast<void>(values->adapter());  // refused now
  std::vector<bool> is_used(checkpoint.tensors.size(), false);
  Sharing sharing(*values);
  ApplyResult result;
  result.snapshot.containers.resize(1);
  result.snapshot.containers.front().type = "dict";

  for (const TensorSpec& want : target.tensors) {
    const auto found = planned.find(want.name);
    const bool fits = found != planned.end() && (!want.shape || want.shape == found->second->spec.shape);
    if (fits && apply_plan::has_values(*recipe_of(*found->second), *values, want.name)) {
      for (const std::size_t source : sources(*found->second)) is_used[source] = true;
      result.snapshot.tensors.push_back(made(*found->second, want.name, values));
      sharing.number(result.snapshot.tensors.back(), *recipe_of(*found->second));
      apply_plan::note_rows(*found->second, want.name, *values, result.notes);
    } else if (const auto own = values->own(want.name)) {
      result.snapshot.tensors.push_back(kept(*own, want.name, values));
      result.filled_from_target.push_back(want.name);
    } else {
      result.unfilled.push_back(want.name);
    }
  }
  apply_plan::note_moments(plan, rehearsal, checkpoint, result.notes);
  result.snapshot.containers.front().tensor_count = result.snapshot.tensors.size();
  for (std::size_t i = 0; i < is_used.size(); ++i)
    if (!is_used[i]) result.dropped.push_back(checkpoint.tensors[i].name);
  return result;
}

}  // namespace tenon
