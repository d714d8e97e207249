// The steps that compute values.
#include <algorithm>
#include <cmath>

#include "base/text.hpp"
#include "plan/grids.hpp"
#include "plan/limits.hpp"
#include "plan/recipes.hpp"

namespace tenon::plan {

Recipe Recipes::resized(const Recipe& input, const Resize& op) const {
  require_numbers(input);
  if (!input->shape) return make(Interpolate{}, {input}, std::nullopt, input->dtype);
  const Shape& from = *input->shape;
  Shape to = op.shape;
  if (to.size() != from.size())
    throw wrong("the shape has another rank than the tensor", base::shape_text(from), base::shape_text(to));
  for (std::size_t i = 0; i < to.size(); ++i)
    if (to[i] == 0) to[i] = from[i];
  if (to == from && op.from_grid.empty()) return input;
  const auto step = interpolation(from, to, op);
  if (!step)
    throw wrong("the shapes are no two grids of positions",
                "one axis of g*g positions (behind 0 to 2 tokens) or two neighbouring axes, or from_grid and to_grid",
                base::shape_text(from) + " to " + base::shape_text(to));
  return make(*step, {input}, std::move(to), input->dtype);
}

Recipe Recipes::with_rows(const Recipe& input, const ResizeRows& op) const {
  require_whole_bytes(input);
  if (!input->shape) return make(FillRows{op.fill}, {input}, std::nullopt, input->dtype);
  Shape shape = *input->shape;
  static_cast<void>(axis(0, shape));
  if (op.rows > shape[0] && op.fill != RowFill::Target) require_numbers(input);
  if (op.rows > shape[0] && shape[0] == 0) throw wrong("the tensor has no rows", "at least one", "none");
  shape[0] = op.rows;
  return make(FillRows{op.fill}, {input}, std::move(shape), input->dtype);
}

Recipe Recipes::with_channels(const Recipe& input, const InflateChannels& op) const {
  require_numbers(input);
  if (!input->shape) return make(SpreadChannels{}, {input}, std::nullopt, input->dtype);
  Shape shape = *input->shape;
  const std::size_t at = axis(1, shape);
  const bool to_sum = op.channels == 1 && shape[at] > 0 && (shape[at] <= 3 || shape[at] % 3 == 0);
  if (!to_sum && shape[at] != 1 && shape[at] != 3)
    throw wrong("no rule tells how these input channels become others", "1 or 3 channels",
                base::shape_text(shape) + " to " + std::to_string(op.channels) + " channels");
  // space-to-depth stems (12 channels for 3): sums keep the colours apart from the places, as timm does
  shape[at] = op.channels == 1 && shape[at] > 3 ? shape[at] / 3 : op.channels;
  return make(SpreadChannels{}, {input}, std::move(shape), input->dtype);
}

Recipe Recipes::dequantized(const Recipe& input) const {
  const auto kind = input->dtype ? std::optional(dtype_kind(*input->dtype)) : std::nullopt;
  const bool is_stored = std::holds_alternative<FromCheckpoint>(input->step);
  if (is_stored && input->dtype && can_dequantize(*input->dtype))  // ggml's blocks hold their scales themselves
    return make(DequantizeStored{}, {input}, input->shape, DType::Float32);
  if (input->dtype && is_block_dtype(*input->dtype) && !can_dequantize(*input->dtype))
    throw Error(Code::Unsupported, wrong({}, {}, {}).where, "the values of this block type are not computed",
                "Q4_0, Q4_1, Q5_0, Q5_1, Q8_0, Q4_K, Q5_K or Q6_K", std::string(dtype_name(*input->dtype)));
  if ((kind && kind != DTypeKind::Quantized) || !is_stored)
    throw wrong("the tensor is not quantised as stored",
                "qint8, quint8, qint32, Q8_0, Q4_K, ..., before other operations",
                input->dtype ? std::string(dtype_name(*input->dtype)) : "a computed tensor");
  require_whole_bytes(input);
  return make(DequantizeStored{}, {input}, input->shape, DType::Float32);
}

Recipe Recipes::merged(const Recipe& base, const Recipe& down, const Recipe& up, const Recipe& alpha,
                       const MergeLora& op) const {
  for (const Recipe& input : {down, up}) require_numbers(input);
  std::optional<Shape> shape;
  if (down->shape && up->shape) {
    const Shape &a = *down->shape, &b = *up->shape;
    const bool is_pair = a.size() >= 2 && b.size() >= 2 && a[0] == b[1] && a[0] > 0 &&
                         std::all_of(b.begin() + 2, b.end(), [](std::int64_t extent) { return extent == 1; });
    if (!is_pair || (op.fan_in_fan_out && a.size() != 2))
      throw wrong("the low-rank matrices do not fit each other", "down [r, in, ...] and up [out, r]",
                  base::shape_text(a) + " and " + base::shape_text(b));
    shape = a;
    (*shape)[0] = b[0];
    if (op.fan_in_fan_out) std::reverse(shape->begin(), shape->end());
  }
  const Recipe weight = base ? base : of_target(shape, std::nullopt);
  if (base) require_numbers(base);
  if (base && base->shape && shape) {
    // A 1x1 convolution may adapt a linear layer of the same size.
    if (base->shape->empty() || base->shape->front() != shape->front() ||
        element_count(*base->shape) != element_count(*shape))
      throw wrong("the low-rank matrices do not fit their weight", base::shape_text(*base->shape),
                  base::shape_text(*shape));
    shape = base->shape;
  }
  if (alpha && alpha->shape && element_count(*alpha->shape) != 1)
    throw wrong("alpha is no single number", "[]", base::shape_text(*alpha->shape));
  std::vector<Recipe> inputs{weight, down, up};
  if (alpha) inputs.push_back(alpha);
  return make(AddLora{op.scale, alpha != nullptr, op.fan_in_fan_out}, std::move(inputs), shape, weight->dtype);
}

std::pair<Recipe, Recipe> Recipes::folded(const NormFold& parts, const FoldBatchNorm& op) const {
  FoldNorm step{false, parts.bias != nullptr, parts.gamma != nullptr, parts.beta != nullptr, op.eps, 0};
  std::vector<Recipe> inputs{parts.weight, parts.mean, parts.variance};
  for (const Recipe& part : {parts.bias, parts.gamma, parts.beta})
    if (part) inputs.push_back(part);
  std::optional<Shape> bias_shape;
  if (parts.weight->shape) {
    step.dim = axis(op.dim, *parts.weight->shape);
    bias_shape = Shape{(*parts.weight->shape)[step.dim]};
  }
  for (std::size_t i = 0; i < inputs.size(); ++i) {
    require_numbers(inputs[i]);
    if (i > 0 && bias_shape && inputs[i]->shape && *inputs[i]->shape != *bias_shape)
      throw wrong("the norm has other channels than the layer before it", base::shape_text(*bias_shape),
                  base::shape_text(*inputs[i]->shape));
  }
  const Recipe weight = make(step, inputs, parts.weight->shape, parts.weight->dtype);
  step.makes_bias = true;
  return {weight, make(step, std::move(inputs), bias_shape, parts.weight->dtype)};
}

Recipe Recipes::norm_multiplied(const Recipe& g, const Recipe& v) const {
  require_numbers(g);
  require_numbers(v);
  if (g->shape && v->shape) {
    bool fits = g->shape->size() == v->shape->size() || element_count(*g->shape) == 1;
    for (std::size_t i = 0; fits && i < g->shape->size() && g->shape->size() == v->shape->size(); ++i)
      fits = (*g->shape)[i] == 1 || (*g->shape)[i] == (*v->shape)[i];
    if (!fits)
      throw wrong("the norms do not fit their directions", "an extent of 1 or the direction's on each axis",
                  base::shape_text(*g->shape) + " and " + base::shape_text(*v->shape));
  }
  return make(MultiplyNorm{}, {g, v}, v->shape, v->dtype);
}

Recipe Recipes::norm_taken(const Recipe& weight, std::int64_t dim) const {
  require_numbers(weight);
  TakeNorm step;
  std::optional<Shape> shape;
  if (weight->shape) {
    step.dim = axis(dim, *weight->shape);
    shape = Shape(weight->shape->size(), 1);
    (*shape)[step.dim] = (*weight->shape)[step.dim];
  }
  return make(step, {weight}, std::move(shape), weight->dtype);
}

}  // namespace tenon::plan
