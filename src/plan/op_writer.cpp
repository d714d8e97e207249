#include "base/utf8.hpp"
#include "plan/op_json.hpp"

namespace tenon::plan {
namespace {

using Json = nlohmann::ordered_json;

struct MemberWriter {
  Json& json;

  void put(const char* member, const std::string& text) const { json[member] = base::to_valid_utf8(text); }
  void put_some(const char* member, const std::string& text) const {
    if (!text.empty()) put(member, text);
  }
  void put(const char* member, const std::vector<std::string>& texts) const {
    json[member] = Json::array();
    for (const std::string& text : texts) json[member].push_back(base::to_valid_utf8(text));
  }
  void put_some(const char* member, const Shape& numbers) const {
    if (!numbers.empty()) json[member] = numbers;
  }
  void put_unless(const char* member, std::int64_t number, std::int64_t otherwise) const {
    if (number != otherwise) json[member] = number;
  }
  void put_flag(const char* member, bool flag) const {
    if (flag) json[member] = true;
  }

  void operator()(const StripPrefix& op) const { put("prefix", op.prefix); }
  void operator()(const AddPrefix& op) const { put("prefix", op.prefix); }
  void operator()(const Unwrap& op) const { put("path", op.path); }
  void operator()(const Rename& op) const {
    put("from", op.from);
    put("to", op.to);
    put_flag("regex", op.regex);
  }
  void operator()(const Drop& op) const { put("pattern", op.pattern); }
  void operator()(const KeepTarget& op) const { put("pattern", op.pattern); }
  void operator()(const Cast& op) const {
    put("pattern", op.pattern);
    json["dtype"] = std::string(dtype_name(op.dtype));
  }
  void operator()(const Transpose& op) const {
    put("pattern", op.pattern);
    json["dims"] = op.dims;
  }
  void operator()(const Reshape& op) const {
    put("pattern", op.pattern);
    json["shape"] = op.shape;
  }
  void operator()(const Reorder& op) const {
    put("pattern", op.pattern);
    json["dim"] = op.dim;
    json["view"] = op.view;
    json["dims"] = op.dims;
  }
  void operator()(const Split& op) const {
    put("from", op.from);
    put("to", op.to);
    json["dim"] = op.dim;
    put_some("sizes", op.sizes);
    put_unless("groups", op.groups, 1);
    put_flag("regex", op.regex);
  }
  void operator()(const Fuse& op) const {
    put("from", op.from);
    put("to", op.to);
    json["dim"] = op.dim;
    put_unless("groups", op.groups, 1);
    put_flag("regex", op.regex);
  }
  void operator()(const Tie& op) const {
    put("from", op.from);
    put("to", op.to);
    put_flag("regex", op.regex);
  }
  void operator()(const Resize& op) const {
    put("pattern", op.pattern);
    json["shape"] = op.shape;
    json["mode"] = std::string(resize_mode_name(op.mode));
    if (op.tokens) json["tokens"] = *op.tokens;
    put_flag("tokens_at_end", op.tokens_at_end);
    put_some("from_grid", op.from_grid);
    put_some("to_grid", op.to_grid);
  }
  void operator()(const ResizeRows& op) const {
    put("pattern", op.pattern);
    json["rows"] = op.rows;
    if (op.fill != RowFill::TargetOrMean) json["fill"] = std::string(row_fill_name(op.fill));
  }
  void operator()(const MergeLora& op) const {
    put("down", op.down);
    put("up", op.up);
    put("to", op.to);
    put_some("base", op.base);
    put_some("alpha", op.alpha);
    if (op.scale) json["scale"] = *op.scale;
    put_flag("fan_in_fan_out", op.fan_in_fan_out);
  }
  void operator()(const Dequantize& op) const { put("pattern", op.pattern); }
  void operator()(const InflateChannels& op) const {
    put("pattern", op.pattern);
    json["channels"] = op.channels;
  }
  void operator()(const FoldBatchNorm& op) const {
    put("conv", op.conv);
    put("norm", op.norm);
    put_some("to", op.to);
    json["eps"] = op.eps;
    put_unless("dim", op.dim, 0);
    put_flag("regex", op.regex);
  }
  void operator()(const FoldWeightNorm& op) const {
    put("g", op.g);
    put("v", op.v);
    put("to", op.to);
    put_flag("regex", op.regex);
  }
  void operator()(const UnfoldWeightNorm& op) const {
    put("from", op.from);
    put("g", op.g);
    put("v", op.v);
    put_unless("dim", op.dim, 0);
    put_flag("regex", op.regex);
  }
};

}  // namespace

void write_members(const Operation& operation, nlohmann::ordered_json& json) {
  std::visit(MemberWriter{json}, operation);
}

}  // namespace tenon::plan
