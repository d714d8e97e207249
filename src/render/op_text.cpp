#include "render/op_text.hpp"

#include <fmt/format.h>

#include "base/text.hpp"
#include "render/json_value.hpp"
#include "render/page.hpp"

namespace tenon::rendering {

namespace {

struct Describer {
  std::string operator()(const StripPrefix& op) const { return fmt::format("strip the prefix `{}`", safe(op.prefix)); }
  std::string operator()(const AddPrefix& op) const { return fmt::format("add the prefix `{}`", safe(op.prefix)); }
  std::string operator()(const Unwrap& op) const { return fmt::format("take out what is below `{}`", safe(op.path)); }
  std::string operator()(const Rename& op) const {
    return fmt::format("rename `{}` to `{}`", safe(op.from), safe(op.to));
  }
  std::string operator()(const Drop& op) const { return fmt::format("leave `{}` out", safe(op.pattern)); }
  std::string operator()(const KeepTarget& op) const {
    return fmt::format("keep the model's own `{}`", safe(op.pattern));
  }
  std::string operator()(const Cast& op) const {
    return fmt::format("cast `{}` to {}", safe(op.pattern), dtype_name(op.dtype));
  }
  std::string operator()(const Transpose& op) const {
    return fmt::format("permute the axes of `{}` to {}", safe(op.pattern), base::shape_text(op.dims));
  }
  std::string operator()(const Reshape& op) const {
    return fmt::format("reshape `{}` to {}", safe(op.pattern), base::shape_text(op.shape));
  }
  std::string operator()(const Reorder& op) const {
    return fmt::format("reorder axis {} of `{}`: seen as {}, permuted by {}", op.dim, safe(op.pattern),
                       base::shape_text(op.view), base::shape_text(op.dims));
  }
  std::string operator()(const Split& op) const {
    return fmt::format("split `{}` along axis {} into {}{}", safe(op.from), op.dim, names(op.to), groups(op.groups));
  }
  std::string operator()(const Fuse& op) const {
    return fmt::format("fuse {} along axis {} into `{}`{}", names(op.from), op.dim, safe(op.to), groups(op.groups));
  }
  std::string operator()(const Tie& op) const { return fmt::format("tie `{}` to `{}`", safe(op.to), safe(op.from)); }
  std::string operator()(const Resize& op) const {
    return fmt::format("resize `{}` to {}, {}", safe(op.pattern), base::shape_text(op.shape),
                       resize_mode_name(op.mode));
  }
  std::string operator()(const ResizeRows& op) const {
    constexpr std::string_view kFrom[] = {"the model's, or the mean where it has no values", "the model's",
                                          "the mean of the old ones"};
    return fmt::format("give `{}` {} rows; new ones are {}", safe(op.pattern),
                       base::count_text(static_cast<std::uint64_t>(op.rows)), kFrom[static_cast<std::size_t>(op.fill)]);
  }
  std::string operator()(const MergeLora& op) const {
    const std::string scale = op.scale           ? fmt::format("scale {}", *op.scale)
                              : op.alpha.empty() ? std::string("scale of adapter_config.json")
                                                 : "scale of `" + safe(op.alpha) + "`";
    return fmt::format("add `{}` x `{}` to `{}`, {}", safe(op.up), safe(op.down), safe(op.to), scale);
  }
  std::string operator()(const Dequantize& op) const {
    return fmt::format("dequantize `{}` to float32", safe(op.pattern));
  }
  std::string operator()(const InflateChannels& op) const {
    return fmt::format("give `{}` {}", safe(op.pattern),
                       base::plural(static_cast<std::uint64_t>(op.channels), "input channel"));
  }
  std::string operator()(const FoldBatchNorm& op) const {
    return fmt::format("fold the batch norm `{}` into `{}`, eps {}", safe(op.norm), safe(op.conv), op.eps);
  }
  std::string operator()(const FoldWeightNorm& op) const {
    return fmt::format("multiply norms `{}` and directions `{}` into `{}`", safe(op.g), safe(op.v), safe(op.to));
  }
  std::string operator()(const UnfoldWeightNorm& op) const {
    return fmt::format("take the norms of `{}` out as `{}`, directions `{}`", safe(op.from), safe(op.g), safe(op.v));
  }

 private:
  static std::string names(const std::vector<std::string>& all) {
    std::vector<std::string> quoted;
    for (const std::string& name : all) quoted.push_back("`" + safe(name) + "`");
    return base::join(quoted, ", ");
  }
  static std::string groups(std::int64_t count) {
    return count == 1 ? std::string() : fmt::format(", in {} groups", count);
  }
};

}  // namespace

std::string describe(const Operation& operation) { return std::visit(Describer{}, operation); }

std::string plan_text(const Op& op) {
  std::vector<std::string> members;
  const Json json = Json::parse(to_json(op));
  for (const auto& [name, value] : json.items())
    if (name != "applicability") members.push_back(fmt::format("\"{}\": {}", name, safe(value.dump())));
  return "{" + base::join(members, ", ") + "}";
}

}  // namespace tenon::rendering
