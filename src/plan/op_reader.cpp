// Names of operations and of their choices, and how each operation is read.
#include <algorithm>
#include <limits>

#include "plan/limits.hpp"
#include "plan/op_fields.hpp"
#include "plan/op_json.hpp"

namespace tenon {
namespace {

using plan::OpFields;

template <class Choice>
struct Named {
  Choice choice;
  std::string_view name;
};
constexpr Named<Applicability> kApplicabilities[] = {{Applicability::Exact, "exact"},
                                                     {Applicability::Lossy, "lossy"},
                                                     {Applicability::Guess, "guess"},
                                                     {Applicability::Template, "template"}};
constexpr Named<ResizeMode> kResizeModes[] = {{ResizeMode::Bicubic, "bicubic"},
                                              {ResizeMode::Bilinear, "bilinear"},
                                              {ResizeMode::Linear, "linear"},
                                              {ResizeMode::Nearest, "nearest"}};
constexpr Named<RowFill> kRowFills[] = {
    {RowFill::TargetOrMean, "target_or_mean"}, {RowFill::Target, "target"}, {RowFill::Mean, "mean"}};

template <class Choice, std::size_t kCount>
std::string_view name_of(const Named<Choice> (&rows)[kCount], Choice choice) {
  for (const auto& row : rows)
    if (row.choice == choice) return row.name;
  throw Bug("a choice without a name");
}

/// The choice that the member names; the table's first where it is absent.
template <class Choice, std::size_t kCount>
Choice choice_of(OpFields& in, const char* member, const Named<Choice> (&rows)[kCount]) {
  if (!in.has(member)) return rows[0].choice;
  const std::string name = in.text(member);
  std::string known;
  for (const auto& row : rows) {
    if (row.name == name) return row.choice;
    known += (known.empty() ? "" : ", ") + std::string(row.name);
  }
  throw in.wrong(member, "unknown " + std::string(member), known, name);
}

constexpr std::int64_t kMost = std::numeric_limits<std::int64_t>::max();
constexpr std::int64_t kMostAxis = 64;

std::int64_t axis(OpFields& in, const char* member = "dim") { return in.integer_or(member, 0, -kMostAxis, kMostAxis); }

std::string pattern(OpFields& in) { return in.full_text("pattern"); }

Operation read_rename(OpFields& in) {
  const bool regex = in.flag("regex");
  return Rename{in.name("from", regex), in.text("to"), regex};
}

Operation read_split(OpFields& in) {
  const bool regex = in.flag("regex");
  Split op{in.name("from", regex), in.texts("to"), axis(in), {}, in.integer_or("groups", 1, 1, kMost), regex};
  op.sizes = in.integers_or_none("sizes", 0, plan::kMaxParts);
  if (!op.sizes.empty() && op.sizes.size() != op.to.size())
    throw in.wrong("sizes", "there are not as many sizes as parts", std::to_string(op.to.size()),
                   std::to_string(op.sizes.size()));
  return op;
}

Operation read_fuse(OpFields& in) {
  const bool regex = in.flag("regex");
  return Fuse{in.names("from", regex), in.full_text("to"), axis(in), in.integer_or("groups", 1, 1, kMost), regex};
}

Operation read_tie(OpFields& in) {
  const bool regex = in.flag("regex");
  return Tie{in.name("from", regex), in.full_text("to"), regex};
}

Operation read_resize(OpFields& in) {
  Resize op{pattern(in), in.integers("shape", 0), choice_of(in, "mode", kResizeModes)};
  if (in.has("tokens")) op.tokens = in.integer("tokens", 0, kMost);
  op.tokens_at_end = in.flag("tokens_at_end");
  op.from_grid = in.integers_or_none("from_grid", 1, 2);
  op.to_grid = in.integers_or_none("to_grid", 1, 2);
  return op;
}

Operation read_resize_rows(OpFields& in) {
  return ResizeRows{pattern(in), in.integer("rows", 0, kMost), choice_of(in, "fill", kRowFills)};
}

Operation read_merge_lora(OpFields& in) {
  return MergeLora{in.name("down", true),    in.name("up", true),      in.full_text("to"),
                   in.text_or_none("base"),  in.text_or_none("alpha"), in.optional_number("scale"),
                   in.flag("fan_in_fan_out")};
}

Operation read_fold_batch_norm(OpFields& in) {
  const bool regex = in.flag("regex");
  FoldBatchNorm op{in.name("conv", regex), in.full_text("norm"), in.text_or_none("to")};
  op.eps = in.optional_number("eps").value_or(op.eps);
  if (op.eps < 0) throw in.wrong("eps", "eps is negative", "0 and more", std::to_string(op.eps));
  op.dim = axis(in);
  op.regex = regex;
  return op;
}

Operation read_fold_weight_norm(OpFields& in) {
  const bool regex = in.flag("regex");
  return FoldWeightNorm{in.name("g", regex), in.full_text("v"), in.full_text("to"), regex};
}

Operation read_unfold_weight_norm(OpFields& in) {
  const bool regex = in.flag("regex");
  return UnfoldWeightNorm{in.name("from", regex), in.full_text("g"), in.full_text("v"), axis(in), regex};
}

struct OpRow {
  std::string_view name;
  Operation (*read)(OpFields& in);
  bool computes_values = false;
};
/// In the order of the alternatives of Operation, so that an operation's index finds its row.
constexpr OpRow kOps[] = {
    {"strip_prefix", [](OpFields& in) -> Operation { return StripPrefix{in.full_text("prefix")}; }},
    {"add_prefix", [](OpFields& in) -> Operation { return AddPrefix{in.full_text("prefix")}; }},
    {"unwrap", [](OpFields& in) -> Operation { return Unwrap{in.full_text("path")}; }},
    {"rename", read_rename},
    {"drop", [](OpFields& in) -> Operation { return Drop{pattern(in)}; }},
    {"keep_target", [](OpFields& in) -> Operation { return KeepTarget{pattern(in)}; }},
    {"cast",
     [](OpFields& in) -> Operation {
       return Cast{pattern(in), in.dtype("dtype")};
     }},
    {"transpose",
     [](OpFields& in) -> Operation {
       return Transpose{pattern(in), in.integers("dims", -kMostAxis)};
     }},
    {"reshape",
     [](OpFields& in) -> Operation {
       return Reshape{pattern(in), in.integers("shape", -1)};
     }},
    {"reorder",
     [](OpFields& in) -> Operation {
       return Reorder{pattern(in), axis(in), in.integers("view", -1), in.integers("dims", -kMostAxis)};
     }},
    {"split", read_split},
    {"fuse", read_fuse},
    {"tie", read_tie},
    {"resize", read_resize, true},
    {"resize_rows", read_resize_rows, true},
    {"merge_lora", read_merge_lora, true},
    {"dequantize", [](OpFields& in) -> Operation { return Dequantize{pattern(in)}; }, true},
    {"inflate_channels",
     [](OpFields& in) -> Operation {
       return InflateChannels{pattern(in), in.integer("channels", 1, kMost)};
     },
     true},
    {"fold_batch_norm", read_fold_batch_norm, true},
    {"fold_weight_norm", read_fold_weight_norm, true},
    {"unfold_weight_norm", read_unfold_weight_norm, true},
};
static_assert(std::size(kOps) == std::variant_size_v<Operation>);

std::string known_ops() {
  std::string names;
  for (const OpRow& row : kOps) names += (names.empty() ? "" : ", ") + std::string(row.name);
  return names;
}

/// What the member says, or the best that the operation can be.
Applicability applicability(OpFields& in, const Operation& operation) {
  const Applicability best = best_applicability(operation);
  if (!in.has("applicability")) return best;
  const Applicability said = choice_of(in, "applicability", kApplicabilities);
  if (said < best)
    throw in.wrong("applicability", "the operation computes values and is never exact",
                   std::string(applicability_name(best)), std::string(applicability_name(said)));
  return said;
}

}  // namespace

std::string_view applicability_name(Applicability applicability) { return name_of(kApplicabilities, applicability); }
std::string_view resize_mode_name(ResizeMode mode) { return name_of(kResizeModes, mode); }
std::string_view row_fill_name(RowFill fill) { return name_of(kRowFills, fill); }
std::string_view op_name(const Operation& operation) { return kOps[operation.index()].name; }

Applicability best_applicability(const Operation& operation) {
  return kOps[operation.index()].computes_values ? Applicability::Lossy : Applicability::Exact;
}

namespace plan {

Op read_op(const nlohmann::json& json, std::size_t index, const std::string& file) {
  OpFields in(json, "ops[" + std::to_string(index) + "]", file);
  const std::string name = in.text("op");
  for (const OpRow& row : kOps) {
    if (row.name != name) continue;
    Operation operation = row.read(in);
    Op op{std::move(operation), Applicability::Exact};
    op.applicability = applicability(in, op.operation);
    in.finish();
    return op;
  }
  throw in.wrong("op", "unknown operation", known_ops(), name);
}

}  // namespace plan
}  // namespace tenon
