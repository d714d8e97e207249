// Recipe: how the values of a planned tensor come about, as an immutable tree: leaves are tensors of the checkpoint (or
// of the target), nodes are steps. rehearse() makes recipes, evaluate() carries one out, tensor by tensor.
//
//   blocks.0.q.weight  <-  Slice(dim 0, first 0, length 64)  <-  FromCheckpoint(`blocks.0.qkv.weight`)
//
// Every node knows the shape and dtype of what it makes, as far as the listing tells them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <variant>
#include <vector>

#include <tenon/dtype.hpp>
#include <tenon/tensor.hpp>

namespace tenon {

struct RecipeNode;
using Recipe = std::shared_ptr<const RecipeNode>;

// --- leaves ----------------------------------------------------------------------------------------------------------

/// The values of the checkpoint, as they are stored. `index` counts in the checkpoint's listing.
struct FromCheckpoint {
  std::size_t index = 0;
};
/// The target's own values under the name that the planned tensor bears in the end.
struct FromTarget {};

// --- steps that move bytes -------------------------------------------------------------------------------------------

/// Result axis i is input axis dims[i], as torch.permute does.
struct Permute {
  std::vector<std::size_t> dims;
};
/// The same elements in row-major order under the node's shape.
struct View {};
/// `length` positions of axis `dim`, from `first` on.
struct Slice {
  std::size_t dim = 0;
  std::int64_t first = 0, length = 0;
};
/// All inputs one behind the other along axis `dim`.
struct Concatenate {
  std::size_t dim = 0;
};

// --- steps that compute ----------------------------------------------------------------------------------------------

/// Converts to the node's dtype. `must_keep_values`: refused where a value would change.
struct Convert {
  bool must_keep_values = false;
};

enum class ResizeMode : std::uint8_t { Bicubic, Bilinear, Linear, Nearest };

/// Interpolation of a grid that lies on the axis `dim` behind (or before) `tokens` rows that have no place in it and
/// stay as they are. With `from_grid` and `to_grid` of one extent each it is an interpolation along one axis.
struct Interpolate {
  ResizeMode mode = ResizeMode::Bicubic;
  std::size_t dim = 0;   ///< first axis of the grid
  std::size_t axes = 1;  ///< axes of the tensor that hold the grid: 1 (rows x columns flattened into it) or 2
  std::int64_t tokens = 0;
  bool tokens_at_end = false;
  Shape from_grid, to_grid;  ///< two extents each; one each for Linear
};

enum class RowFill : std::uint8_t { TargetOrMean, Target, Mean };

/// The first rows of the input; rows beyond its end are the target's, or the mean of the input's rows.
struct FillRows {
  RowFill fill = RowFill::TargetOrMean;
};

/// inputs: base W, down A [r, in, ...], up B [out, r, ...], and alpha (a scalar) if has_alpha.
/// W + scale * B@A; transposed before it is added with fan_in_fan_out. Without scale and alpha, the scale is that of
/// the adapter_config.json beside the checkpoint.
struct AddLora {
  std::optional<double> scale;
  bool has_alpha = false;
  bool fan_in_fan_out = false;
};

/// scale * (q - zero point) of a torch quantised tensor, whose parts stand in the checkpoint under the input's name; or
/// the values of a tensor in ggml's blocks, which hold their scales.
struct DequantizeStored {};

/// inputs: weight, mean, variance, then the conv's bias, the norm's weight, the norm's bias, each where its flag is
/// set.
struct FoldNorm {
  bool makes_bias = false;  ///< the bias of the folded layer, else its weight
  bool has_bias = false, has_gamma = false, has_beta = false;
  double eps = 1e-5;
  std::size_t dim = 0;  ///< the weight's axis of output channels
};

/// inputs: g, v. g * v / |v|, the norm over all axes where g has the extent 1.
struct MultiplyNorm {};
/// |input| over all axes but `dim`, whose extent stays; others become 1.
struct TakeNorm {
  std::size_t dim = 0;
};

/// Input channels (axis 1) made more or fewer, as timm's adapt_input_conv does.
struct SpreadChannels {};

using RecipeStep = std::variant<FromCheckpoint, FromTarget, Permute, View, Slice, Concatenate, Convert, Interpolate,
                                FillRows, AddLora, DequantizeStored, FoldNorm, MultiplyNorm, TakeNorm, SpreadChannels>;

struct RecipeNode {
  RecipeStep step;
  std::vector<Recipe> inputs;
  std::optional<Shape> shape;  ///< of the result
  std::optional<DType> dtype;  ///< of the result
  std::size_t depth = 1;       ///< nodes on the longest way to a leaf; limited, since evaluation recurses
  std::uint64_t leaves = 1;    ///< leaves of the tree, shared ones counted each time; limited
};

}  // namespace tenon
