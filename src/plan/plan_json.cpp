// The JSON form of plans, both ways.
//
//   {"ops": [{"op": "strip_prefix", "prefix": "module.", "applicability": "exact"}, ...]}
//
// Writing keeps the order of members; reading refuses members it does not know.
#include <set>

#include <nlohmann/json.hpp>

#include <tenon/error.hpp>
#include <tenon/plan.hpp>

#include "base/utf8.hpp"
#include "model/json_document.hpp"
#include "plan/regex.hpp"

namespace tenon {
namespace {

using Json = nlohmann::json;
using OrderedJson = nlohmann::ordered_json;

struct Applicabilities {
  Applicability applicability;
  std::string_view name;
};
constexpr Applicabilities kApplicabilities[] = {
    {Applicability::Exact, "exact"},
    {Applicability::Lossy, "lossy"},
    {Applicability::Guess, "guess"},
    {Applicability::Template, "template"},
};

struct Namer {
  std::string_view operator()(const StripPrefix&) const { return "strip_prefix"; }
  std::string_view operator()(const AddPrefix&) const { return "add_prefix"; }
  std::string_view operator()(const Unwrap&) const { return "unwrap"; }
  std::string_view operator()(const Rename&) const { return "rename"; }
  std::string_view operator()(const Drop&) const { return "drop"; }
  std::string_view operator()(const KeepTarget&) const { return "keep_target"; }
  std::string_view operator()(const Cast&) const { return "cast"; }
};

struct MemberWriter {
  OrderedJson& json;
  void put(const char* member, const std::string& text) const { json[member] = base::to_valid_utf8(text); }
  void operator()(const StripPrefix& op) const { put("prefix", op.prefix); }
  void operator()(const AddPrefix& op) const { put("prefix", op.prefix); }
  void operator()(const Unwrap& op) const { put("path", op.path); }
  void operator()(const Rename& op) const {
    put("from", op.from);
    put("to", op.to);
    if (op.regex) json["regex"] = true;
  }
  void operator()(const Drop& op) const { put("pattern", op.pattern); }
  void operator()(const KeepTarget& op) const { put("pattern", op.pattern); }
  void operator()(const Cast& op) const {
    put("pattern", op.pattern);
    json["dtype"] = std::string(dtype_name(op.dtype));
  }
};

OrderedJson json_of(const Op& op) {
  OrderedJson json;
  json["op"] = std::string(op_name(op.operation));
  std::visit(MemberWriter{json}, op.operation);
  json["applicability"] = std::string(applicability_name(op.applicability));
  return json;
}

/// One operation's object: every member is asked for, and what was not asked for is refused.
class OpReader {
 public:
  OpReader(const Json& json, std::string place, const std::string& file)
      : json_(json), place_(std::move(place)), file_(file) {
    if (!json_.is_object()) throw wrong({}, "an operation is no object", "{\"op\": ...}", json_.type_name());
  }

  std::string text(const char* member) {
    const Json* value = find(member);
    if (value == nullptr || !value->is_string())
      throw wrong(member, "a text is missing", std::string("\"") + member + "\": \"...\"", kind(value));
    return value->get<std::string>();
  }

  std::string full_text(const char* member) {
    std::string found = text(member);
    if (found.empty()) throw wrong(member, "the text is empty", "at least one character", "none");
    return found;
  }

  bool flag(const char* member) {
    const Json* value = find(member);
    if (value == nullptr) return false;
    if (!value->is_boolean()) throw wrong(member, "the member is neither true nor false", "true or false", kind(value));
    return value->get<bool>();
  }

  Applicability applicability() {
    if (find("applicability") == nullptr) return Applicability::Exact;
    const std::string name = text("applicability");
    for (const auto& row : kApplicabilities)
      if (row.name == name) return row.applicability;
    throw wrong("applicability", "unknown applicability", "exact, lossy, guess or template", name);
  }

  DType dtype() {
    const std::string name = full_text("dtype");
    if (const auto found = parse_dtype(name)) return *found;
    throw wrong("dtype", "unknown dtype", "a name such as float32", name);
  }

  void finish() const {
    for (const auto& [member, value] : json_.items())
      if (asked_.count(member) == 0)
        throw wrong(member, "the operation has no such member", "only its own members", member);
  }

  Where place(std::string_view member) const {
    return {file_, {}, member.empty() ? place_ : place_ + "." + std::string(member), {}};
  }

  Error wrong(std::string_view member, std::string what, std::string expected, std::string found) const {
    return Error(Code::Invalid, place(member), std::move(what), std::move(expected), std::move(found));
  }

 private:
  const Json* find(const char* member) {
    asked_.insert(member);
    const auto found = json_.find(member);
    return found == json_.end() ? nullptr : &*found;
  }
  static std::string kind(const Json* value) { return value == nullptr ? "nothing" : value->type_name(); }

  const Json& json_;
  std::string place_;
  const std::string& file_;
  std::set<std::string, std::less<>> asked_;
};

Operation read_rename(OpReader& in) {
  Rename rename{in.full_text("from"), in.text("to"), in.flag("regex")};
  if (rename.regex) plan::NamePattern check(rename.from, in.place("from"));  // throws where it cannot be used
  return rename;
}

struct OpRow {
  std::string_view name;
  Operation (*read)(OpReader& in);
};
constexpr OpRow kOps[] = {
    {"strip_prefix", [](OpReader& in) -> Operation { return StripPrefix{in.full_text("prefix")}; }},
    {"add_prefix", [](OpReader& in) -> Operation { return AddPrefix{in.full_text("prefix")}; }},
    {"unwrap", [](OpReader& in) -> Operation { return Unwrap{in.full_text("path")}; }},
    {"rename", read_rename},
    {"drop", [](OpReader& in) -> Operation { return Drop{in.full_text("pattern")}; }},
    {"keep_target", [](OpReader& in) -> Operation { return KeepTarget{in.full_text("pattern")}; }},
    {"cast",
     [](OpReader& in) -> Operation {
       return Cast{in.full_text("pattern"), in.dtype()};
     }},
};

std::string known_ops() {
  std::string names;
  for (const OpRow& row : kOps) names += (names.empty() ? "" : ", ") + std::string(row.name);
  return names;
}

Op read_op(const Json& json, std::size_t index, const std::string& file) {
  OpReader in(json, "ops[" + std::to_string(index) + "]", file);
  const std::string name = in.text("op");
  for (const OpRow& row : kOps) {
    if (row.name != name) continue;
    Operation operation = row.read(in);
    Op op{std::move(operation), in.applicability()};
    in.finish();
    return op;
  }
  throw in.wrong("op", "unknown operation", known_ops(), name);
}

}  // namespace

std::string_view applicability_name(Applicability applicability) {
  for (const auto& row : kApplicabilities)
    if (row.applicability == applicability) return row.name;
  throw Bug("an applicability without a name");
}

std::string_view op_name(const Operation& operation) { return std::visit(Namer{}, operation); }

std::string to_json(const Op& op) { return json_of(op).dump(); }

std::string to_json(const Plan& plan) {
  OrderedJson json;
  json["ops"] = OrderedJson::array();
  for (const Op& op : plan.ops) json["ops"].push_back(json_of(op));
  return json.dump();
}

Plan parse_plan(std::string_view text, const std::string& file) {
  const Json document = model::parse_document(text, file);
  if (!document.is_object() || !document.contains("ops") || !document["ops"].is_array())
    throw Error(Code::Invalid, {file, {}, "ops", {}}, "the document is no plan", "{\"ops\": [...]}",
                "no list of operations");
  // A plan copied out of a report carries the report's balance; it is known and says nothing new.
  for (const auto& [member, value] : document.items())
    if (member != "ops" && member != "resolves" && member != "leaves")
      throw Error(Code::Invalid, {file, {}, member, {}}, "a plan has no such member", "ops", member);
  Plan plan;
  for (const Json& json : document["ops"]) plan.ops.push_back(read_op(json, plan.ops.size(), file));
  return plan;
}

}  // namespace tenon
