// Plan: the list of operations that makes a checkpoint fit a target, as data: made by diagnose(), edited by people,
// kept as JSON, carried out by apply().
//
// Operations run in order; each works on all tensors of the state that the ones before it left.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include <tenon/checkpoint.hpp>
#include <tenon/dtype.hpp>
#include <tenon/export.hpp>
#include <tenon/listing.hpp>
#include <tenon/recipe.hpp>
#include <tenon/snapshot.hpp>

namespace tenon {

/// How far an operation may be trusted.
enum class Applicability : std::uint8_t {
  Exact,     ///< changes no value; done unasked
  Lossy,     ///< changes values
  Guess,     ///< a person decides (`--accept guess`)
  Template,  ///< has a blank that a person fills in
};

// The operations. Patterns are globs over full names: `*` any run of characters, `?` one, all others themselves.
struct StripPrefix {
  std::string prefix;
};  ///< takes `prefix` off every name that starts with it
struct AddPrefix {
  std::string prefix;
};  ///< puts `prefix` before every name
struct Unwrap {
  std::string path;
};  ///< keeps what stands below `path`, under its shorter name
struct Rename {
  std::string from, to;
  bool regex = false;
};  ///< exact names, or ECMAScript with $1 references over whole names
struct Drop {
  std::string pattern;
};  ///< leaves tensors of the checkpoint out
struct KeepTarget {
  std::string pattern;
};  ///< takes tensors from the target; the checkpoint's are left out
struct Cast {
  std::string pattern;
  DType dtype = DType::Float32;
};  ///< as PyTorch's Tensor.to; said to be exact, it is refused where a value would change

// Layout: every element is moved, none is changed. Axes (`dim`, `dims`) count from 0, or from the end with -1.
// With `regex`, names that are looked for are ECMAScript expressions over whole names, and names that are given may
// hold $1 references, as in Rename; without, all are exact names.

/// Result axis i is axis dims[i], as torch.permute: [1, 0] transposes a matrix, [3, 2, 0, 1] turns a Keras kernel
/// [h, w, in, out] into PyTorch's. Refused where a tensor's rank is not the number of dims.
struct Transpose {
  std::string pattern;
  std::vector<std::int64_t> dims;
};
/// Row-major, as torch.reshape. One extent may be -1 (what is left); 0 keeps the extent of that axis, so that one
/// operation serves tensors of many sizes: [0, 0] takes two trailing ones off, [0, 0, 1, 1] puts them on.
struct Reshape {
  std::string pattern;
  Shape shape;
};
/// Permutes positions within axis `dim`: the axis is seen as `view` (one extent may be -1), its parts are permuted by
/// `dims`, and become one axis again. Rotary rows of Meta's Llama for transformers: dim 0, view [heads, -1, 2],
/// dims [0, 2, 1]; a Linear behind a flattened [h, w, c]: dim 1, view [h, w, c], dims [2, 0, 1].
struct Reorder {
  std::string pattern;
  std::int64_t dim = 0;
  Shape view;
  std::vector<std::int64_t> dims;
};
/// Cuts one tensor into the parts `to`, in the order in which they lie along axis `dim`.
///
/// `sizes`: extents of the parts, whose sum is the axis; equal parts where it is empty. `groups`: the axis is that many
/// runs one behind the other, each of which holds its share of every part: 1 for [q q q k k k v v v], the number of
/// heads for [q k v, q k v, q k v] (GPT-NeoX, BLOOM, Megatron 2), of key-value heads with `sizes` for grouped queries.
struct Split {
  std::string from;
  std::vector<std::string> to;
  std::int64_t dim = 0;
  std::vector<std::int64_t> sizes = {};
  std::int64_t groups = 1;
  bool regex = false;
};
/// The inverse of Split: parts of any extents one behind the other along axis `dim`, or group by group.
struct Fuse {
  std::vector<std::string> from;
  std::string to;
  std::int64_t dim = 0;
  std::int64_t groups = 1;
  bool regex = false;
};
/// Gives the tensor `from` a second name; both stay one storage.
struct Tie {
  std::string from, to;
  bool regex = false;
};

// Values: what these make is computed, so that none of them is ever exact.

/// Interpolates a table of positions, or a kernel, to `shape` (0 keeps an extent). As torch.nn.functional.interpolate
/// with align_corners=False.
///
/// One axis changes: it holds a flattened grid, with `tokens` rows before it (class and distillation token) that stay;
/// or, with `Linear`, the axis itself is interpolated. Two neighbouring axes change: they are the grid. Tokens and
/// grids are told by the extents (n = g*g + tokens, tokens 0 to 2; 3 at the end as in BEiT), or given here.
struct Resize {
  std::string pattern;
  Shape shape;
  ResizeMode mode = ResizeMode::Bicubic;
  std::optional<std::int64_t> tokens = {};
  bool tokens_at_end = false;
  Shape from_grid = {}, to_grid = {};  ///< [rows, columns], for grids that are not square
};
/// Keeps the first `rows` rows (axis 0), bit for bit. Rows beyond the end are the target's where it holds a tensor of
/// that shape, else the mean of the checkpoint's rows.
struct ResizeRows {
  std::string pattern;
  std::int64_t rows = 0;
  RowFill fill = RowFill::TargetOrMean;
};
/// Adds low-rank matrices to the weight they adapt: W + scale * up@down. Names are expressions with $1 references.
///
/// `down` [r, in] or [r, in, kh, kw] and `up` [out, r] or [out, r, 1, 1] belong together where `to` comes out the same.
/// `base` (if empty: `to`) names W in the checkpoint; where it is not there, W is the target's. The scale is given, or
/// alpha / r with the tensor `alpha` names, or that of adapter_config.json beside the checkpoint. fan_in_fan_out: W is
/// [in, out], as in GPT-2's Conv1D and in embeddings.
struct MergeLora {
  std::string down, up, to;
  std::string base = {}, alpha = {};
  std::optional<double> scale = {};
  bool fan_in_fan_out = false;
};
/// torch's quantised tensors become float32: scale * (q - zero point), per tensor or per channel.
struct Dequantize {
  std::string pattern;
};
/// Makes `channels` input channels (axis 1) of 1 or 3. To 1: their sum. To n: repeated in turn and multiplied by
/// old / n, so that equal channels give what they gave. Source: timm, models/_manipulate.py, adapt_input_conv.
struct InflateChannels {
  std::string pattern;
  std::int64_t channels = 0;
};
/// Folds a batch norm into the layer before it. `conv`, `norm`, `to` are names of modules (`to` empty: `conv`); the
/// result is to.weight and to.bias. `dim`: the weight's axis of output channels, 1 for transposed convolutions.
struct FoldBatchNorm {
  std::string conv, norm;
  std::string to = {};
  double eps = 1e-5;
  std::int64_t dim = 0;
  bool regex = false;
};
/// weight = g * v / |v|, the norm over the axes where g has the extent 1.
struct FoldWeightNorm {
  std::string g, v, to;
  bool regex = false;
};
/// The way back: g = |weight| over all axes but `dim`, v = weight.
struct UnfoldWeightNorm {
  std::string from, g, v;
  std::int64_t dim = 0;
  bool regex = false;
};

using Operation = std::variant<StripPrefix, AddPrefix, Unwrap, Rename, Drop, KeepTarget, Cast, Transpose, Reshape,
                               Reorder, Split, Fuse, Tie, Resize, ResizeRows, MergeLora, Dequantize, InflateChannels,
                               FoldBatchNorm, FoldWeightNorm, UnfoldWeightNorm>;

struct Op {
  Operation operation;
  Applicability applicability = Applicability::Exact;
};

struct Plan {
  std::vector<Op> ops;
};

TENON_API std::string_view applicability_name(Applicability applicability);
TENON_API std::string_view op_name(const Operation& operation);
TENON_API std::string_view resize_mode_name(ResizeMode mode);
TENON_API std::string_view row_fill_name(RowFill fill);

/// What an operation is at best: Lossy for those that compute values, Exact for all others. accepted() and parse_plan()
/// hold plans to it, whatever they claim.
TENON_API Applicability best_applicability(const Operation& operation);

/// JSON form of the contract: `{"ops": [{"op": "strip_prefix", "prefix": "module.", "applicability": "exact"}]}`.
TENON_API std::string to_json(const Plan& plan);
TENON_API std::string to_json(const Op& op);

/// Reads the JSON form; unknown members are refused, so that a typing error does not silently do nothing.
/// `file` is for messages only. Throws Error Corrupt (with byte) or Invalid (unknown op, missing member, bad pattern).
TENON_API Plan parse_plan(std::string_view text, const std::string& file = {});

/// What a person allows beside the exact operations.
struct Acceptance {
  bool lossy = false;
  bool guess = false;
};

/// The part of a plan that may be carried out. Templates never are: their blanks come first.
TENON_API Plan accepted(const Plan& plan, const Acceptance& acceptance = {});

/// Where a tensor of the planned state comes from.
struct Planned {
  TensorSpec spec;         ///< name, dtype and shape after all operations
  std::size_t source = 0;  ///< index into the checkpoint's listing; of the first of several
  Recipe recipe = {};      ///< how the values come about; null: they are those of `source`, as they are
};

/// The recipe, or a leaf where there is none.
TENON_API Recipe recipe_of(const Planned& planned);

/// Indexes into the checkpoint's listing of all tensors that this one is made of, each once, in order of use.
TENON_API std::vector<std::size_t> sources(const Planned& planned);

/// What a plan makes of a listing, without touching a value.
struct Rehearsal {
  std::vector<Planned> tensors;            ///< in the order of the checkpoint
  std::vector<std::size_t> dropped;        ///< indexes into the checkpoint's listing
  std::vector<std::string> kept_patterns;  ///< of KeepTarget, in order
};

/// Carries out the names, shapes and dtypes of a plan. Throws Error: Invalid when two tensors end under one name, an
/// operation matches nothing (KeepTarget may: what it keeps need not be in the checkpoint) or does not fit a tensor's
/// shape; Limit when the plan asks for more than `Limits` allows.
TENON_API Rehearsal rehearse(const Plan& plan, const Listing& checkpoint);

/// The plan that leads back from what `plan` makes of `checkpoint`: apply(invert(p, c), apply(p, c)) is c, bit for bit.
///
/// Names and shapes come from the listing, so that only operations that keep all values are needed: names, layout,
/// split and fuse, ties, casts that are exact. Throws Error: Unsupported (names the operation that has no inverse: it
/// leaves tensors out or computes values), Limit, and what rehearse() throws. O(operations * tensors). Of tensors whose
/// shape or dtype the listing does not know, only what is known is proved: names, and axes that an operation permutes.
TENON_API Plan invert(const Plan& plan, const Listing& checkpoint);

struct ApplyResult {
  Snapshot snapshot;  ///< tensors in the target's order; bytes are produced when they are saved
  std::vector<std::string> filled_from_target;
  std::vector<std::string> dropped;   ///< names in the checkpoint that are not in the result
  std::vector<std::string> unfilled;  ///< wanted, but neither side holds values
  std::vector<std::string> notes;     ///< which values new rows got; moments that keep an old layout
};

/// Carries out one recipe. `target` may have no values where the recipe needs none of them. O(tensors) to look names
/// up: for single tensors; apply() does it for all. Throws Error: Invalid (values that are not there), Refused (a cast
/// said to be exact changes values), and what Checkpoint::tensor throws.
TENON_API Tensor evaluate(const Planned& planned, const Listing& checkpoint, const Listing& target);

/// Carries out a plan on values: lazy, tensor by tensor; memory does not grow with the checkpoint.
/// The result holds every target tensor that can be filled, in the target's order. Both listings may be destroyed
/// afterwards.
TENON_API ApplyResult apply(const Plan& plan, const Listing& checkpoint, const Listing& target);

}  // namespace tenon
