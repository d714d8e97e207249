// The steps that compute values, one function each: inputs in, tensor out. All sums are double precision, rounded once
// to the dtype of the result. Shapes were checked when the recipe was made.
#pragma once

#include <optional>
#include <span>

#include <tenon/recipe.hpp>
#include <tenon/tensor.hpp>

namespace tenon::apply_plan {

Tensor interpolate(const Tensor& input, const Interpolate& step, const Shape& shape);

/// `own`: the target's tensor of the shape [rows, ...], where it has one.
Tensor fill_rows(const Tensor& input, std::int64_t rows, const std::optional<Tensor>& own);

/// inputs: weight, down, up.
Tensor add_lora(std::span<const Tensor> inputs, double scale, bool fan_in_fan_out);

/// Per tensor: one scale and zero point; per channel: as many as axis `axis` has positions.
Tensor dequantize(const Tensor& input, std::span<const double> scales, std::span<const double> zero_points,
                  std::size_t axis);

/// inputs: as FoldNorm says.
Tensor fold_norm(std::span<const Tensor> inputs, const FoldNorm& step);
Tensor multiply_norm(const Tensor& g, const Tensor& v);
Tensor take_norm(const Tensor& input, const Shape& shape);
Tensor spread_channels(const Tensor& input, const Shape& shape);

}  // namespace tenon::apply_plan
