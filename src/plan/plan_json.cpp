// The JSON form of plans, both ways.
//
//   {"ops": [{"op": "strip_prefix", "prefix": "module.", "applicability": "exact"}, ...]}
//
// The members of each operation stand in op_writer.cpp and op_reader.cpp.
#include <algorithm>

#include <nlohmann/json.hpp>

#include <tenon/error.hpp>
#include <tenon/plan.hpp>

#include "model/json_document.hpp"
#include "plan/limits.hpp"
#include "plan/op_json.hpp"

namespace tenon {
namespace {

using Json = nlohmann::json;
using OrderedJson = nlohmann::ordered_json;

OrderedJson json_of(const Op& op) {
  OrderedJson json;
  json["op"] = std::string(op_name(op.operation));
  plan::write_members(op.operation, json);
  json["applicability"] = std::string(applicability_name(std::max(op.applicability, best_applicability(op.operation))));
  return json;
}

}  // namespace

std::string to_json(const Op& op) { return json_of(op).dump(); }

std::string to_json(const Plan& plan) {
  OrderedJson json;
  json["ops"] = OrderedJson::array();
  for (const Op& op : plan.ops) json["ops"].push_back(json_of(op));
  return json.dump();
}

Plan parse_plan(std::string_view text, const std::string& file) {
  const model::JsonTree tree = model::parse_document(text, file);
  const Json& document = tree.root;
  if (!document.is_object() || !document.contains("ops") || !document["ops"].is_array())
    throw Error(Code::Invalid, {file, {}, "ops", {}}, "the document is no plan", "{\"ops\": [...]}",
                "no list of operations");
  // A plan copied out of a report carries the report's balance; it is known and says nothing new.
  for (const auto& [member, value] : document.items())
    if (member != "ops" && member != "resolves" && member != "leaves" && member != "drops")
      throw Error(Code::Invalid, {file, {}, member, {}}, "a plan has no such member", "ops", member);
  if (document["ops"].size() > plan::kMaxOps)
    throw Error(Code::Limit, {file, {}, "ops", {}}, "the plan has too many operations",
                "at most " + std::to_string(plan::kMaxOps), std::to_string(document["ops"].size()));
  Plan plan;
  for (const Json& json : document["ops"]) plan.ops.push_back(plan::read_op(json, plan.ops.size(), file));
  return plan;
}

}  // namespace tenon
