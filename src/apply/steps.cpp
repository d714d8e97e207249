#include "apply/steps.hpp"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <utility>
#include <vector>

#include <tenon/error.hpp>

#include "tensor/interpolate.hpp"
#include "tensor/numbers.hpp"
#include "tensor/reshape.hpp"

namespace tenon::apply_plan {
namespace {

using tensor::extent_product;
using tensor::from_numbers;
using tensor::numbers;
using Numbers = std::vector<double>;

std::size_t size(std::int64_t extent) { return static_cast<std::size_t>(extent); }

/// Row-major positions in `shape`, each with its cell in a tensor of shape `cells`, whose extents are `shape`'s or 1.
class Cells {
 public:
  Cells(const Shape& shape, const Shape& cells) : shape_(shape), step_(dense_stride(cells)), index_(shape.size(), 0) {
    for (std::size_t i = 0; i < cells.size(); ++i)
      if (cells[i] == 1) step_[i] = 0;
  }

  std::size_t cell() const { return size(cell_); }

  void advance() {
    for (std::size_t axis = shape_.size(); axis-- > 0;) {
      cell_ += step_[axis];
      if (++index_[axis] < shape_[axis]) return;
      cell_ -= step_[axis] * shape_[axis];
      index_[axis] = 0;
    }
  }

 private:
  const Shape& shape_;
  Stride step_;
  std::vector<std::int64_t> index_;
  std::int64_t cell_ = 0;
};

/// Roots of the sums of squares of all elements that share a cell.
Numbers norms(const Numbers& values, const Shape& shape, const Shape& cells) {
  Numbers sums(size(element_count(cells)), 0.0);
  Cells at(shape, cells);
  for (const double value : values) {
    sums[at.cell()] += value * value;
    at.advance();
  }
  for (double& sum : sums) sum = std::sqrt(sum);
  return sums;
}

}  // namespace

Tensor interpolate(const Tensor& input, const Interpolate& step, const Shape& shape) {
  const Shape& from = input.shape;
  const std::int64_t outer = extent_product(from, 0, step.dim);
  const std::int64_t inner = extent_product(from, step.dim + step.axes, from.size());
  const Numbers values = numbers(input);
  const auto resample = [&](const Numbers& grid) {
    if (step.from_grid.size() == 1)
      return tensor::interpolated(grid, outer, step.from_grid[0], step.to_grid[0], inner, step.mode);
    const Numbers rows =
        tensor::interpolated(grid, outer, step.from_grid[0], step.to_grid[0], step.from_grid[1] * inner, step.mode);
    return tensor::interpolated(rows, outer * step.to_grid[0], step.from_grid[1], step.to_grid[1], inner, step.mode);
  };
  if (step.tokens == 0) return from_numbers(resample(values), input.dtype, shape);

  const std::size_t old_row = size(from[step.dim] * inner), new_row = size(shape[step.dim] * inner);
  const std::size_t tokens = size(step.tokens * inner);
  const std::size_t old_grid = old_row - tokens, new_grid = new_row - tokens;
  const std::size_t old_start = step.tokens_at_end ? 0 : tokens, token_start = step.tokens_at_end ? old_grid : 0;
  Numbers grid, result(size(outer) * new_row);
  for (std::size_t block = 0; block < size(outer); ++block) {
    const auto start = values.begin() + static_cast<std::ptrdiff_t>(block * old_row + old_start);
    grid.insert(grid.end(), start, start + static_cast<std::ptrdiff_t>(old_grid));
  }
  const Numbers made = resample(grid);
  for (std::size_t block = 0; block < size(outer); ++block) {
    double* const out = result.data() + block * new_row;
    std::copy_n(made.data() + block * new_grid, new_grid, out + (step.tokens_at_end ? 0 : tokens));
    std::copy_n(values.data() + block * old_row + token_start, tokens, out + (step.tokens_at_end ? new_grid : 0));
  }
  return from_numbers(result, input.dtype, shape);
}

Tensor fill_rows(const Tensor& input, std::int64_t rows, const std::optional<Tensor>& own) {
  const std::int64_t had = input.shape[0];
  if (rows <= had) return tensor::sliced(input, 0, 0, rows);
  if (own) {
    const Tensor rest = tensor::sliced(*own, 0, had, rows - had);
    const Tensor parts[] = {input, rest.dtype == input.dtype ? rest : cast(rest, input.dtype)};
    return tensor::concatenated(parts, 0);
  }
  const std::int64_t width = extent_product(input.shape, 1, input.shape.size());
  Numbers mean(size(width), 0.0);
  std::size_t column = 0;
  for (std::int64_t row = 0; row < had; ++row)  // row by row: a vocabulary's doubles would need much memory
    for (const double value : numbers(tensor::sliced(input, 0, row, 1))) {
      mean[column] += value / static_cast<double>(had);
      column = column + 1 == mean.size() ? 0 : column + 1;
    }
  Shape shape = input.shape;
  shape[0] = 1;
  Tensor rest = from_numbers(mean, input.dtype, shape);
  rest.shape[0] = rows - had;
  rest.stride[0] = 0;  // one row, seen as many
  const Tensor parts[] = {input, rest};
  return tensor::concatenated(parts, 0);
}

namespace {

/// [n, ...] as a matrix [n, product of the rest].
Tensor matrix(const Tensor& tensor) {
  return tensor::viewed(tensor, {tensor.shape[0], extent_product(tensor.shape, 1, tensor.shape.size())});
}

Tensor turned(const Tensor& tensor) {
  constexpr std::size_t kTurn[] = {1, 0};
  return tensor::permuted(tensor, kTurn);
}

}  // namespace

Tensor add_lora(std::span<const Tensor> inputs, double scale, bool fan_in_fan_out) {
  const Tensor& weight = inputs[0];
  const Tensor down = matrix(inputs[1]), up = matrix(inputs[2]);
  // rows x rank times rank x columns
  const Numbers left = numbers(fan_in_fan_out ? turned(down) : up), right = numbers(fan_in_fan_out ? turned(up) : down);
  const auto rank = size(down.shape[0]);
  const auto rows = left.size() / rank, columns = right.size() / rank;
  const Tensor flat = tensor::viewed(weight, {static_cast<std::int64_t>(rows), static_cast<std::int64_t>(columns)});
  std::vector<std::byte> bytes(byte_size(weight.shape, weight.dtype));
  std::byte* out = bytes.data();
  for (std::size_t row = 0; row < rows; ++row) {
    Numbers sum(columns, 0.0);
    for (std::size_t r = 0; r < rank; ++r)
      for (std::size_t i = 0; i < columns; ++i) sum[i] += left[row * rank + r] * right[r * columns + i];
    const Numbers old = numbers(tensor::sliced(flat, 0, static_cast<std::int64_t>(row), 1));
    for (std::size_t i = 0; i < columns; ++i) sum[i] = old[i] + scale * sum[i];
    const Tensor made = from_numbers(sum, weight.dtype, {static_cast<std::int64_t>(columns)});
    if (!made.storage.empty()) std::memcpy(out, made.storage.data(), made.storage.size());
    out += made.storage.size();
  }
  return make_tensor(weight.dtype, weight.shape, std::move(bytes));
}

Tensor dequantize(const Tensor& input, std::span<const double> scales, std::span<const double> zero_points,
                  std::size_t axis) {
  Shape cells(input.shape.size(), 1);
  if (scales.size() > 1) cells[axis] = input.shape[axis];
  // The stored integers have the bytes of plain ones.
  Tensor stored = input;
  stored.dtype = input.dtype == DType::QInt32 ? DType::Int32 : input.dtype == DType::QInt8 ? DType::Int8 : DType::UInt8;
  Numbers values = numbers(stored);
  Cells at(input.shape, cells);
  for (double& value : values) {
    value = (value - zero_points[at.cell()]) * scales[at.cell()];
    at.advance();
  }
  return from_numbers(values, DType::Float32, input.shape);
}

Tensor fold_norm(std::span<const Tensor> inputs, const FoldNorm& step) {
  std::size_t next = 3;
  const Shape& shape = inputs[0].shape;
  const std::size_t channels = size(shape[step.dim]);
  const auto take = [&](bool is_there, double otherwise) {
    return is_there ? numbers(inputs[next++]) : Numbers(channels, otherwise);
  };
  const Numbers mean = numbers(inputs[1]), variance = numbers(inputs[2]);
  const Numbers bias = take(step.has_bias, 0), gamma = take(step.has_gamma, 1), beta = take(step.has_beta, 0);
  Numbers factor(channels), shift(channels);
  for (std::size_t i = 0; i < channels; ++i) {
    factor[i] = gamma[i] / std::sqrt(variance[i] + step.eps);
    shift[i] = (bias[i] - mean[i]) * factor[i] + beta[i];
  }
  if (step.makes_bias) return from_numbers(shift, inputs[0].dtype, {shape[step.dim]});
  Shape cells(shape.size(), 1);
  cells[step.dim] = shape[step.dim];
  Numbers weight = numbers(inputs[0]);
  Cells at(shape, cells);
  for (double& value : weight) {
    value *= factor[at.cell()];
    at.advance();
  }
  return from_numbers(weight, inputs[0].dtype, shape);
}

Tensor multiply_norm(const Tensor& g, const Tensor& v) {
  const Shape cells = g.shape.size() == v.shape.size() ? g.shape : Shape(v.shape.size(), 1);
  const Numbers length = numbers(g);
  Numbers values = numbers(v);
  const Numbers norm = norms(values, v.shape, cells);
  Cells at(v.shape, cells);
  for (double& value : values) {
    value *= length[at.cell()] / norm[at.cell()];
    at.advance();
  }
  return from_numbers(values, v.dtype, v.shape);
}

Tensor take_norm(const Tensor& input, const Shape& shape) {
  return from_numbers(norms(numbers(input), input.shape, shape), input.dtype, shape);
}

Tensor spread_channels(const Tensor& input, const Shape& shape) {
  const std::int64_t outer = input.shape[0], from = input.shape[1], to = shape[1];
  const std::size_t inner = size(extent_product(shape, 2, shape.size()));
  const Numbers values = numbers(input);
  Numbers result(size(outer * to) * inner, 0.0);
  const bool is_sum = to < from && from % to == 0 && (to == 1 || from / to == 3);
  const std::int64_t summed = is_sum ? from / to : 1;
  const double factor = is_sum ? 1 : static_cast<double>(from) / static_cast<double>(to);
  for (std::int64_t block = 0; block < outer; ++block)
    for (std::int64_t channel = 0; channel < to; ++channel) {
      double* const out = result.data() + size(block * to + channel) * inner;
      for (std::int64_t part = 0; part < summed; ++part) {
        const std::int64_t source = is_sum ? channel * summed + part : channel % from;
        const double* const in = values.data() + size(block * from + source) * inner;
        for (std::size_t i = 0; i < inner; ++i) out[i] += factor * in[i];
      }
    }
  return from_numbers(result, input.dtype, shape);
}

}  // namespace tenon::apply_plan
