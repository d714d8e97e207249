// Nodes in general, and the steps that move bytes.
#include "plan/recipes.hpp"

#include <algorithm>
#include <numeric>

#include <tenon/limits.hpp>

#include "base/text.hpp"
#include "base/utf8.hpp"
#include "plan/limits.hpp"

namespace tenon {

Recipe recipe_of(const Planned& planned) {
  if (planned.recipe) return planned.recipe;
  return std::make_shared<const RecipeNode>(
      RecipeNode{FromCheckpoint{planned.source}, {}, planned.spec.shape, planned.spec.dtype});
}

}  // namespace tenon

namespace tenon::plan {

Error Recipes::wrong(std::string what, std::string expected, std::string found, std::string next) const {
  return Error(Code::Invalid, {{}, {}, base::to_valid_utf8(name_.substr(0, 200)), {}}, std::move(what),
               std::move(expected), std::move(found), std::move(next));
}

Recipe Recipes::of_target(std::optional<Shape> shape, std::optional<DType> dtype) {
  return std::make_shared<const RecipeNode>(RecipeNode{FromTarget{}, {}, std::move(shape), dtype});
}

Recipe Recipes::make(RecipeStep step, std::vector<Recipe> inputs, std::optional<Shape> shape,
                     std::optional<DType> dtype) const {
  RecipeNode node{std::move(step), std::move(inputs), std::move(shape), dtype};
  node.leaves = 0;
  for (const Recipe& input : node.inputs) {
    node.depth = std::max(node.depth, input->depth + 1);
    node.leaves += input->leaves;  // each at most kMaxRecipeLeaves, and at most kMaxParts of them
  }
  const auto too_much = [&](const char* what, std::uint64_t most, std::uint64_t found) {
    return Error(Code::Limit, wrong({}, {}, {}).where, what, "at most " + base::count_text(most),
                 base::count_text(found));
  };
  if (node.depth > kMaxRecipeDepth)
    throw too_much("the plan heaps operations on one tensor", kMaxRecipeDepth, node.depth);
  if (node.leaves > kMaxRecipeLeaves)
    throw too_much("the plan makes one tensor of very many", kMaxRecipeLeaves, node.leaves);
  if (node.shape) {
    const std::uint64_t bytes = byte_size(*node.shape, node.dtype.value_or(DType::UInt8));
    if (bytes > most_bytes_) throw too_much("the plan makes a tensor of very many bytes", most_bytes_, bytes);
  }
  return std::make_shared<const RecipeNode>(std::move(node));
}

std::size_t Recipes::axis(std::int64_t dim, const Shape& shape) const {
  const auto rank = static_cast<std::int64_t>(shape.size());
  if (dim < -rank || dim >= rank)
    throw wrong("the operation names an axis that the tensor has not", "an axis of " + base::shape_text(shape),
                std::to_string(dim));
  return static_cast<std::size_t>(dim < 0 ? dim + rank : dim);
}

void Recipes::require_whole_bytes(const Recipe& input) const {
  if (input->dtype && dtype_bytes(*input->dtype) == 0)
    throw Error(Code::Unsupported, wrong({}, {}, {}).where, "elements that share bytes cannot be moved one by one",
                "a dtype in whole bytes", std::string(dtype_name(*input->dtype)),
                "dequantize or cast the tensor first");
}

void Recipes::require_numbers(const Recipe& input) const {
  if (input->dtype && !can_cast(*input->dtype, DType::Float64))
    throw Error(Code::Unsupported, wrong({}, {}, {}).where, "the values of this dtype cannot be computed with",
                "float, integer, bool or complex types", std::string(dtype_name(*input->dtype)));
  if (input->dtype && dtype_kind(*input->dtype) == DTypeKind::Complex)
    throw Error(Code::Unsupported, wrong({}, {}, {}).where, "the operation is not defined for complex values",
                "real numbers", std::string(dtype_name(*input->dtype)));
}

void Recipes::require_permutation(const std::vector<std::int64_t>& dims) const {
  const auto rank = static_cast<std::int64_t>(dims.size());
  std::vector<bool> is_used(dims.size(), false);
  for (const std::int64_t dim : dims) {
    if (dim < -rank || dim >= rank)
      throw wrong("the permutation names an axis that is not there", "axes of " + std::to_string(rank) + " dims",
                  std::to_string(dim));
    const auto at = static_cast<std::size_t>(dim < 0 ? dim + rank : dim);
    if (is_used[at]) throw wrong("the permutation names an axis twice", "each axis once", base::shape_text(dims));
    is_used[at] = true;
  }
}

Recipe Recipes::permuted(const Recipe& input, const std::vector<std::int64_t>& dims) const {
  require_whole_bytes(input);
  require_permutation(dims);
  if (!input->shape) return make(Permute{}, {input}, std::nullopt, input->dtype);
  const Shape& shape = *input->shape;
  if (dims.size() != shape.size())
    throw wrong("the permutation does not fit the tensor's rank", std::to_string(shape.size()) + " dims",
                base::shape_text(dims) + " for " + base::shape_text(shape));
  Permute step;
  Shape result;
  for (const std::int64_t dim : dims) {
    const std::size_t at = axis(dim, shape);
    step.dims.push_back(at);
    result.push_back(shape[at]);
  }
  return make(std::move(step), {input}, std::move(result), input->dtype);
}

Recipe Recipes::viewed(const Recipe& input, const Shape& shape) const {
  if (!input->shape) return make(View{}, {input}, std::nullopt, input->dtype);
  if (shape.size() > Limits{}.tensor_rank)
    throw wrong("the shape has too many axes", std::to_string(Limits{}.tensor_rank), std::to_string(shape.size()));
  const Shape& from = *input->shape;
  Shape result = shape;
  std::size_t open = result.size();
  for (std::size_t i = 0; i < result.size(); ++i) {
    if (result[i] == 0) {
      if (i >= from.size())
        throw wrong("the shape keeps an axis that the tensor has not", "a shape for " + base::shape_text(from),
                    base::shape_text(shape));
      result[i] = from[i];
    } else if (result[i] < 0) {
      if (open != result.size()) throw wrong("the shape leaves two extents open", "one -1", base::shape_text(shape));
      open = i;
      result[i] = 1;
    }
  }
  const std::int64_t has = element_count(from), known = element_count(result);
  if (open != result.size() && known != 0 && has % known == 0) result[open] = has / known;
  if (element_count(result) != has)
    throw wrong("the shape does not hold the tensor's elements", base::shape_text(from), base::shape_text(shape));
  return make(View{}, {input}, std::move(result), input->dtype);
}

Recipe Recipes::reordered(const Recipe& input, const Reorder& op) const {
  require_whole_bytes(input);
  require_permutation(op.dims);
  if (op.dims.size() != op.view.size())
    throw wrong("the permutation does not fit the view", base::count_text(op.view.size()) + " dims",
                base::shape_text(op.dims));
  if (!input->shape) return make(View{}, {input}, std::nullopt, input->dtype);
  const Shape shape = *input->shape;
  const std::size_t at = axis(op.dim, shape);
  // The axis alone decides what -1 stands for: other axes may have no elements.
  const Recipe alone = viewed(make(View{}, {}, Shape{shape[at]}, DType::UInt8), op.view);
  Shape seen(shape.begin(), shape.begin() + static_cast<std::ptrdiff_t>(at));
  std::vector<std::int64_t> dims(at);
  std::iota(dims.begin(), dims.end(), 0);
  seen.insert(seen.end(), alone->shape->begin(), alone->shape->end());
  const auto parts = static_cast<std::int64_t>(alone->shape->size()), before = static_cast<std::int64_t>(at);
  for (const std::int64_t dim : op.dims) dims.push_back(before + (dim < 0 ? dim + parts : dim));
  for (std::size_t i = at + 1; i < shape.size(); ++i) {
    seen.push_back(shape[i]);
    dims.push_back(static_cast<std::int64_t>(seen.size()) - 1);
  }
  return viewed_exactly(permuted(viewed_exactly(input, std::move(seen)), dims), shape);
}

Recipe Recipes::converted(const Recipe& input, const Cast& op, Applicability applicability) const {
  if (input->dtype && *input->dtype != op.dtype && !can_cast(*input->dtype, op.dtype))
    throw wrong("the plan casts between types that tenon does not convert", "float, integer, bool or complex types",
                std::string(dtype_name(*input->dtype)) + " to " + std::string(dtype_name(op.dtype)));
  return make(Convert{applicability == Applicability::Exact}, {input}, input->shape, op.dtype);
}

Recipe Recipes::viewed_exactly(const Recipe& input, Shape shape) const {
  return make(View{}, {input}, std::move(shape), input->dtype);
}

Recipe Recipes::sliced(const Recipe& input, std::size_t dim, std::int64_t first, std::int64_t length) const {
  Shape shape = *input->shape;
  shape[dim] = length;
  return make(Slice{dim, first, length}, {input}, std::move(shape), input->dtype);
}

namespace {

/// `[.., n, ..]` as `[.., groups, n / groups, ..]`.
Shape grouped(const Shape& shape, std::size_t at, std::int64_t groups) {
  Shape result = shape;
  result[at] = groups;
  result.insert(result.begin() + static_cast<std::ptrdiff_t>(at) + 1, shape[at] / groups);
  return result;
}

}  // namespace

void Recipes::require_counts(std::size_t parts, std::int64_t groups) const {
  if (parts == 0 || parts > kMaxParts)
    throw wrong("the operation names too many parts, or none", "1 to " + base::count_text(kMaxParts),
                base::count_text(parts));
  if (groups < 1) throw wrong("the operation has no groups", "groups of 1 and more", std::to_string(groups));
}

std::vector<Recipe> Recipes::split(const Recipe& input, const Split& op) const {
  require_whole_bytes(input);
  require_counts(op.to.size(), op.groups);
  if (!input->shape) return std::vector<Recipe>(op.to.size(), make(Slice{}, {input}, std::nullopt, input->dtype));
  const Shape shape = *input->shape;
  const std::size_t at = axis(op.dim, shape);
  const auto count = static_cast<std::int64_t>(op.to.size());
  std::vector<std::int64_t> sizes = op.sizes;
  if (sizes.empty()) sizes.assign(op.to.size(), shape[at] / count);
  std::int64_t sum = 0;
  bool is_whole = true;
  for (const std::int64_t size : sizes) {
    is_whole = is_whole && size >= 0 && size % op.groups == 0 && !__builtin_add_overflow(sum, size, &sum);
  }
  if (!is_whole || sum != shape[at])
    throw wrong(
        "the parts do not make up the axis that is split",
        std::to_string(shape[at]) + " on axis " + std::to_string(at) + " in multiples of " + std::to_string(op.groups),
        op.sizes.empty() ? std::to_string(count) + " equal parts" : base::shape_text(op.sizes));
  const Recipe whole = op.groups == 1 ? input : viewed_exactly(input, grouped(shape, at, op.groups));
  std::vector<Recipe> parts;
  std::int64_t first = 0;
  for (const std::int64_t size : sizes) {
    const Recipe part = sliced(whole, op.groups == 1 ? at : at + 1, first / op.groups, size / op.groups);
    Shape flat = shape;
    flat[at] = size;
    parts.push_back(op.groups == 1 ? part : viewed_exactly(part, flat));
    first += size;
  }
  return parts;
}

Recipe Recipes::fused(const std::vector<Recipe>& inputs, const Fuse& op) const {
  require_counts(inputs.size(), op.groups);
  std::optional<DType> dtype = inputs.front()->dtype;
  for (const Recipe& input : inputs) {
    require_whole_bytes(input);
    if (!input->shape) return make(Concatenate{}, inputs, std::nullopt, dtype);
    if (input->dtype != dtype)
      throw wrong("the parts have different dtypes", dtype ? std::string(dtype_name(*dtype)) : "one dtype",
                  input->dtype ? std::string(dtype_name(*input->dtype)) : "another", "cast them to one dtype first");
  }
  Shape shape = *inputs.front()->shape;
  const std::size_t at = axis(op.dim, shape);
  std::int64_t sum = 0;
  std::vector<Recipe> parts;
  for (const Recipe& input : inputs) {
    Shape same = *input->shape;
    if (same.size() == shape.size()) same[at] = shape[at];
    const bool is_whole = same == shape && (*input->shape)[at] % op.groups == 0;
    if (!is_whole || __builtin_add_overflow(sum, (*input->shape)[at], &sum))
      throw wrong("the parts do not fit together",
                  base::shape_text(shape) + " on all axes but " + std::to_string(at) + ", there multiples of " +
                      std::to_string(op.groups),
                  base::shape_text(*input->shape));
    parts.push_back(op.groups == 1 ? input : viewed_exactly(input, grouped(*input->shape, at, op.groups)));
  }
  shape[at] = sum;
  if (op.groups == 1) return make(Concatenate{at}, std::move(parts), std::move(shape), dtype);
  return viewed_exactly(make(Concatenate{at + 1}, std::move(parts), grouped(shape, at, op.groups), dtype), shape);
}

}  // namespace tenon::plan
