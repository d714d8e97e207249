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
