// Writes the JSON form of a blueprint, and the digests that are taken over parts of it. docs/formats/blueprint.md has
// both.
#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdint>
#include <string>
#include <unordered_set>
#include <utility>

#include <nlohmann/json.hpp>

#include <tenon/blueprint.hpp>

#include "base/digest.hpp"
#include "base/utf8.hpp"

namespace tenon {
namespace {

using Json = nlohmann::json;

std::string utf8(const std::string& text) { return base::to_valid_utf8(text); }

Json number(double value) {
  if (std::isnan(value)) return "nan";
  if (std::isinf(value)) return value > 0 ? "inf" : "-inf";
  return value;
}

Json numbers(const std::vector<double>& values) {
  Json list = Json::array();
  for (const double value : values) list.push_back(number(value));
  return list;
}

Json texts(const std::vector<std::string>& values) {
  Json list = Json::array();
  for (const std::string& value : values) list.push_back(utf8(value));
  return list;
}

/// A JSON text that a caller made; one that is no JSON is kept as a text.
Json value_of(const std::string& json) {
  Json value = Json::parse(json, nullptr, false);
  return value.is_discarded() ? Json(utf8(json)) : value;
}

Json object_of(const JsonMembers& members) {
  Json object = Json::object();
  for (const auto& [name, json] : members) object[utf8(name)] = value_of(json);
  return object;
}

Json tensor_row(const TensorSpec& spec) {
  Json row = {{"name", utf8(spec.name)}, {"tied_to", nullptr}};
  row["dtype"] = spec.dtype ? Json(dtype_name(*spec.dtype)) : Json();
  row["shape"] = spec.shape ? Json(*spec.shape) : Json();
  if (spec.role != Role::Unknown) row["role"] = spec.role == Role::Parameter ? "parameter" : "buffer";
  if (!spec.tied_to.empty()) row["tied_to"] = utf8(spec.tied_to);
  if (spec.requires_grad) row["requires_grad"] = *spec.requires_grad;
  if (spec.stride) row["stride"] = *spec.stride;
  return row;
}

Json module_row(const ModuleSpec& module) {
  Json row = {{"path", utf8(module.path)}, {"type", utf8(module.type)}, {"options", object_of(module.options)}};
  if (module.is_custom) row["custom"] = true;
  if (!module.same_as.empty()) row["same_as"] = utf8(module.same_as);
  return row;
}

std::string operand_text(const Operand& operand) {
  switch (operand.from) {
    case Operand::From::Node:
      return "node:" + std::to_string(operand.index) +
             (operand.output > 0 ? "." + std::to_string(operand.output) : std::string());
    case Operand::From::Input: return "input:" + std::to_string(operand.index);
    case Operand::From::Tensor: return "tensor:" + utf8(operand.name);
    case Operand::From::Unknown: return "unknown";
  }
  return {};
}

Json operand_texts(const GraphNode& node) {
  Json list = Json::array();
  for (const Operand& operand : node.operands) list.push_back(operand_text(operand));
  return list;
}

Json node_row(const GraphNode& node, std::size_t id) {
  Json parameters = Json::array();
  for (const Operand& operand : node.operands)
    if (operand.from == Operand::From::Tensor) parameters.push_back(utf8(operand.name));
  return {{"id", id},
          {"op", utf8(node.op)},
          {"module", utf8(node.module)},
          {"args", value_of(node.args)},
          {"operands", operand_texts(node)},
          {"parameters", std::move(parameters)},
          {"output", node.output ? Json(*node.output) : Json()}};
}

Json graph_object(const Graph& graph) {
  Json nodes = Json::array(), edges = Json::array();
  for (std::size_t i = 0; i < graph.nodes.size(); ++i) {
    nodes.push_back(node_row(graph.nodes[i], i));
    for (const Operand& operand : graph.nodes[i].operands)
      if (operand.from == Operand::From::Node) edges.push_back({operand.index, i});
  }
  return {{"recorder", utf8(graph.recorder)},
          {"batch", graph.batch ? Json(*graph.batch) : Json()},
          {"nodes", std::move(nodes)},
          {"edges", std::move(edges)}};
}

Json probe_row(const ProbeTensor& tensor) {
  Json row = {{"name", utf8(tensor.name)}, {"dtype", dtype_name(tensor.dtype)}, {"shape", tensor.shape}};
  if (!tensor.digest.empty()) row["digest"] = utf8(tensor.digest);
  if (!tensor.sample.empty()) row["sample"] = numbers(tensor.sample);
  if (!tensor.sample.empty()) row["scale"] = number(tensor.scale);
  if (tensor.tolerance) row["tolerance"] = number(*tensor.tolerance);
  if (!tensor.values.empty()) row["values"] = numbers(tensor.values);
  return row;
}

Json probe_rows(const std::vector<ProbeTensor>& tensors) {
  Json rows = Json::array();
  for (const ProbeTensor& tensor : tensors) rows.push_back(probe_row(tensor));
  return rows;
}

Json probe_object(const Probe& probe) {
  Json state = Json::array();
  for (const Fingerprint& print : probe.state)
    state.push_back({{"name", utf8(print.name)}, {"sum", number(print.sum)}, {"magnitude", number(print.magnitude)}});
  return {{"seed", probe.seed ? Json(*probe.seed) : Json()},
          {"inputs", probe_rows(probe.inputs)},
          {"outputs", probe_rows(probe.outputs)},
          {"modules", probe_rows(probe.modules)},
          {"state", std::move(state)},
          {"deterministic", probe.is_deterministic},
          {"findings", texts(probe.findings)},
          {"accepted", utf8(probe.accepted)}};
}

Json optimizer_object(const std::vector<OptimizerGroup>& groups) {
  Json rows = Json::array();
  for (const OptimizerGroup& group : groups)
    rows.push_back({{"options", object_of(group.options)}, {"parameters", texts(group.parameters)}});
  return {{"groups", std::move(rows)}};
}

/// What stands beside tensors, modules and graph.
void add_history(Json& document, const Blueprint& blueprint) {
  if (!blueprint.optimizer.empty()) document["optimizer"] = optimizer_object(blueprint.optimizer);
  if (!blueprint.environment.empty()) document["environment"] = object_of(blueprint.environment);
  if (!blueprint.training.empty()) document["training"] = object_of(blueprint.training);
  for (const Unsaved& row : blueprint.unsaved)
    document["unsaved"].push_back({{"name", utf8(row.name)}, {"why", utf8(row.why)}});
  for (const Parent& parent : blueprint.parents)
    document["parents"].push_back({{"digest", utf8(parent.digest)}, {"file", utf8(parent.file)}});
  if (!blueprint.changes.empty()) document["changes"] = texts(blueprint.changes);
  if (!blueprint.left_out.empty()) document["left_out"] = texts(blueprint.left_out);
}

std::string sha256(const std::string& text) {
  base::Sha256 digest;
  digest.update(std::as_bytes(std::span(text)));
  return "sha256:" + digest.hex();
}

/// Options that change no result leave the digest alone.
JsonMembers deciding(const JsonMembers& options) {
  JsonMembers kept;
  for (const JsonMember& option : options)
    if (option.first != "inplace") kept.push_back(option);
  return kept;
}

/// Paths of the modules that hold others.
std::unordered_set<std::string> frames(const Blueprint& blueprint) {
  std::unordered_set<std::string> paths;
  for (const ModuleSpec& module : blueprint.modules) {
    const auto dot = module.path.rfind('.');
    if (!module.path.empty()) paths.insert(dot == std::string::npos ? std::string() : module.path.substr(0, dot));
  }
  return paths;
}

}  // namespace

std::string as_json(std::string_view text) { return Json(utf8(std::string(text))).dump(); }
std::string as_json(double value) { return number(value).dump(); }
std::string as_json(const std::vector<std::int64_t>& values) { return Json(values).dump(); }

namespace {

Json document_of(const Blueprint& blueprint) {
  Json document = {{"schema", "tenon.blueprint/1"}, {"tensors", Json::array()}};
  document["class"] = blueprint.class_name.empty() ? Json() : Json(utf8(blueprint.class_name));
  if (!blueprint.source.empty()) document["source"] = utf8(blueprint.source);
  for (const TensorSpec& spec : blueprint.tensors) document["tensors"].push_back(tensor_row(spec));
  for (const ModuleSpec& module : blueprint.modules) document["modules"].push_back(module_row(module));
  if (blueprint.graph) document["graph"] = graph_object(*blueprint.graph);
  if (blueprint.probe) document["probe"] = probe_object(*blueprint.probe);
  add_history(document, blueprint);
  document["digests"] = {{"structure", structure_digest(blueprint)}, {"architecture", architecture_digest(blueprint)}};
  return document;
}

/// Numbers that are no integers become the text of their bits: how many digits a writer prints is its own matter.
/// Depth is that of the schema and of options, which their reader has limited.
void to_bits(Json& value) {
  if (value.is_number_float()) {
    constexpr char kDigits[] = "0123456789abcdef";
    const auto bits = std::bit_cast<std::uint64_t>(value.get<double>());
    std::string text = "f:";
    for (int shift = 60; shift >= 0; shift -= 4) text += kDigits[(bits >> shift) & 15U];
    value = std::move(text);
  } else if (value.is_structured()) {
    for (Json& item : value) to_bits(item);
  }
}

}  // namespace

std::string to_json(const Blueprint& blueprint) { return document_of(blueprint).dump(); }

std::string structure_digest(const Blueprint& blueprint) {
  std::vector<std::string> lines;
  for (const TensorSpec& spec : blueprint.tensors)
    lines.push_back(utf8(spec.name) + " " + (spec.dtype ? std::string(dtype_name(*spec.dtype)) : "?") + " " +
                    (spec.shape ? Json(*spec.shape).dump() : "?") + " " + utf8(spec.tied_to) + "\n");
  std::sort(lines.begin(), lines.end());
  std::string text;
  for (const std::string& line : lines) text += line;
  return sha256(text);
}

std::string architecture_digest(const Blueprint& blueprint) {
  std::string text = structure_digest(blueprint).substr(7) + "\n";
  const auto has_children = frames(blueprint);
  std::vector<std::string> lines;
  for (const ModuleSpec& module : blueprint.modules) {
    const bool is_frame = module.is_custom && has_children.count(module.path) > 0;
    lines.push_back(utf8(module.path) + " " + (is_frame ? "-" : utf8(module.type)) + " " +
                    object_of(deciding(module.options)).dump() + "\n");
  }
  std::sort(lines.begin(), lines.end());
  for (const std::string& line : lines) text += line;
  if (blueprint.graph)
    for (const GraphNode& node : blueprint.graph->nodes)
      text += utf8(node.op) + " " + utf8(node.module) + " " + value_of(node.args).dump() + " " +
              operand_texts(node).dump() + "\n";
  return sha256(text);
}

std::string blueprint_digest(const Blueprint& blueprint) {
  Json document = document_of(blueprint);
  to_bits(document);
  return sha256(document.dump());
}

}  // namespace tenon
