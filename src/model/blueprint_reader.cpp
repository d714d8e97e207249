// Reads the JSON form of a blueprint. docs/formats/blueprint.md has the schema.
//
// Members that this version does not know are left alone: later versions add to the schema.
#include <algorithm>
#include <string>
#include <unordered_set>
#include <utility>

#include <tenon/blueprint.hpp>
#include <tenon/error.hpp>
#include <tenon/listing.hpp>

#include "io/mapped_file.hpp"
#include "model/json_document.hpp"
#include "model/json_fields.hpp"

namespace tenon {
namespace {

using Json = nlohmann::json;
using model::JsonFields;

constexpr std::string_view kSchema = "tenon.blueprint/1";

void check_schema(const Json& document, const std::string& file) {
  if (!document.is_object() || !document.contains("schema"))
    throw Error(Code::Unsupported, {file, {}, "schema", {}}, "the file is JSON, but no blueprint",
                "\"schema\": \"tenon.blueprint/1\"", "no schema", "give a checkpoint or a blueprint");
  const Json& schema = document["schema"];
  if (schema != kSchema)
    throw Error(Code::Unsupported, {file, {}, "schema", {}}, "unknown schema", std::string(kSchema),
                schema.is_string() ? schema.get<std::string>() : std::string(schema.type_name()));
}

Role role_in(const JsonFields& row) {
  const std::string name = row.text_or("role", {});
  if (name.empty()) return Role::Unknown;
  if (name == "parameter") return Role::Parameter;
  if (name == "buffer") return Role::Buffer;
  throw row.wrong("role", "unknown role", "parameter or buffer", name);
}

TensorSpec tensor_in(const JsonFields& row) {
  TensorSpec spec;
  spec.name = row.text("name");
  spec.dtype = row.dtype("dtype");
  spec.shape = row.shape("shape");
  spec.role = role_in(row);
  spec.tied_to = row.text_or("tied_to", {});
  spec.requires_grad = row.optional_flag("requires_grad");
  if (!row.find("stride").is_null()) spec.stride = row.shape("stride");
  if (spec.stride && spec.stride->size() != spec.shape->size())
    throw row.wrong("stride", "the stride has another rank than the shape", std::to_string(spec.shape->size()),
                    std::to_string(spec.stride->size()));
  return spec;
}

std::vector<TensorSpec> tensors_in(const JsonFields& top) {
  if (!top.find("tensors").is_array()) throw top.wrong("tensors", "the blueprint lists no tensors", "an array", "none");
  std::vector<TensorSpec> tensors;
  std::unordered_set<std::string> names;
  for (const Json& element : top.array_or_none("tensors")) {
    const JsonFields row = top.at("tensors", element, tensors.size());
    tensors.push_back(tensor_in(row));
    if (!names.insert(tensors.back().name).second)
      throw row.wrong("name", "two tensors have one name", "names once only", tensors.back().name);
  }
  return tensors;
}

/// The members of an object as JSON texts, sorted by name.
JsonMembers members_in(const JsonFields& row, const char* member) {
  JsonMembers members;
  const Json& object = row.find(member);
  if (object.is_null()) return members;
  if (!object.is_object()) throw row.wrong(member, "no JSON object stands there", "{...}", object.type_name());
  for (const auto& [name, value] : object.items()) members.emplace_back(name, value.dump());
  return members;
}

ModuleSpec module_in(const JsonFields& row) {
  ModuleSpec module;
  module.path = row.text("path");
  module.type = row.text("type");
  module.is_custom = row.optional_flag("custom").value_or(false);
  module.options = members_in(row, "options");
  module.same_as = row.text_or("same_as", {});
  return module;
}

/// A count below 10^9 in digits; nothing for any other text.
std::optional<std::uint64_t> count_in(std::string_view text) {
  if (text.empty() || text.size() > 9 || text.find_first_not_of("0123456789") != std::string_view::npos) return {};
  return std::stoull(std::string(text));
}

/// `7`, or `7.1` for the second result of node 7.
std::optional<Operand> node_operand(std::string_view text, std::size_t node) {
  const auto dot = text.find('.');
  const auto index = count_in(text.substr(0, dot));
  const auto output = dot == std::string_view::npos ? std::optional<std::uint64_t>(0) : count_in(text.substr(dot + 1));
  if (!index || !output || *index >= node) return {};
  return Operand{Operand::From::Node, *index, {}, *output};
}

Operand operand_in(const JsonFields& row, const std::string& text, std::size_t node) {
  const auto colon = text.find(':');
  const std::string_view kind = std::string_view(text).substr(0, colon);
  if (text == "unknown") return {};
  const std::string rest = colon == std::string::npos ? std::string() : text.substr(colon + 1);
  if (kind == "tensor" && !rest.empty()) return {Operand::From::Tensor, 0, rest};
  const auto input = count_in(rest);
  if (kind == "input" && input) return {Operand::From::Input, *input, {}};
  const auto result = kind == "node" ? node_operand(rest, node) : std::nullopt;
  if (result) return *result;
  throw row.wrong("operands", "unknown operand", "input:N, tensor:NAME, unknown, or node:N of a node before this one",
                  text);
}

/// Blueprints that others wrote may name parameters only.
std::vector<Operand> operands_in(const JsonFields& row, std::size_t node) {
  std::vector<Operand> operands;
  if (row.find("operands").is_null()) {
    for (const std::string& name : row.texts_or_none("parameters"))
      operands.push_back({Operand::From::Tensor, 0, name});
    return operands;
  }
  for (const std::string& text : row.texts_or_none("operands")) operands.push_back(operand_in(row, text, node));
  return operands;
}

GraphNode node_in(const JsonFields& row, std::size_t index) {
  GraphNode node;
  node.op = row.text("op");
  node.module = row.text_or("module", {});
  node.args = row.array_or_none("args").dump();
  if (!row.find("output").is_null()) node.output = row.shape("output");
  node.operands = operands_in(row, index);
  return node;
}

/// Edges say what operands say; where a writer gave edges only, they become operands.
void add_edges(Graph& graph, const JsonFields& row) {
  std::vector<bool> has_operands(graph.nodes.size());
  for (std::size_t i = 0; i < graph.nodes.size(); ++i)
    has_operands[i] = std::any_of(graph.nodes[i].operands.begin(), graph.nodes[i].operands.end(),
                                  [](const Operand& operand) { return operand.from != Operand::From::Tensor; });
  for (const Json& edge : row.array_or_none("edges")) {
    const bool is_pair =
        edge.is_array() && edge.size() == 2 && edge[0].is_number_unsigned() && edge[1].is_number_unsigned();
    const std::uint64_t from = is_pair ? edge[0].get<std::uint64_t>() : 0;
    const std::uint64_t to = is_pair ? edge[1].get<std::uint64_t>() : 0;
    if (!is_pair || from >= to || to >= graph.nodes.size())
      throw row.wrong("edges", "an edge leads nowhere or back", "[from, to] with from < to < the number of nodes",
                      edge.dump(-1, ' ', true));
    if (!has_operands[to]) graph.nodes[to].operands.push_back({Operand::From::Node, from, {}});
  }
}

std::optional<Graph> graph_in(const JsonFields& top) {
  if (top.find("graph").is_null()) return {};
  const JsonFields row = top.object("graph");
  Graph graph;
  graph.recorder = row.text_or("recorder", {});
  if (const auto batch = row.optional_count("batch")) {
    if (*batch > std::uint64_t{INT64_MAX})
      throw row.wrong("batch", "the batch is too large for an extent", "less than 2^63", std::to_string(*batch));
    graph.batch = static_cast<std::int64_t>(*batch);
  }
  for (const Json& element : row.array_or_none("nodes"))
    graph.nodes.push_back(node_in(row.at("nodes", element, graph.nodes.size()), graph.nodes.size()));
  add_edges(graph, row);
  return graph;
}

std::vector<OptimizerGroup> optimizer_in(const JsonFields& top) {
  std::vector<OptimizerGroup> groups;
  if (top.find("optimizer").is_null()) return groups;
  const JsonFields row = top.object("optimizer");
  for (const Json& element : row.array_or_none("groups")) {
    const JsonFields group = row.at("groups", element, groups.size());
    groups.push_back({members_in(group, "options"), group.texts_or_none("parameters")});
  }
  return groups;
}

ProbeTensor probe_tensor_in(const JsonFields& row, std::size_t index) {
  ProbeTensor tensor;
  tensor.name = row.text_or("name", std::to_string(index));
  tensor.dtype = row.dtype("dtype");
  tensor.shape = row.shape("shape");
  tensor.digest = row.text_or("digest", {});
  tensor.sample = row.numbers_or_none("sample");
  tensor.scale = row.number_or("scale", 0);
  if (!row.find("tolerance").is_null()) tensor.tolerance = row.number_or("tolerance", 0);
  tensor.values = row.numbers_or_none("values");
  return tensor;
}

std::vector<ProbeTensor> probe_tensors_in(const JsonFields& probe, const char* member) {
  std::vector<ProbeTensor> tensors;
  for (const Json& element : probe.array_or_none(member))
    tensors.push_back(probe_tensor_in(probe.at(member, element, tensors.size()), tensors.size()));
  return tensors;
}

std::optional<Probe> probe_in(const JsonFields& top) {
  if (top.find("probe").is_null()) return {};
  const JsonFields row = top.object("probe");
  Probe probe;
  probe.seed = row.optional_count("seed");
  probe.inputs = probe_tensors_in(row, "inputs");
  probe.outputs = probe_tensors_in(row, "outputs");
  probe.modules = probe_tensors_in(row, "modules");
  for (const Json& element : row.array_or_none("state")) {
    const JsonFields print = row.at("state", element, probe.state.size());
    probe.state.push_back({print.text("name"), print.number_or("sum", 0), print.number_or("magnitude", 0)});
  }
  probe.is_deterministic = row.optional_flag("deterministic").value_or(true);
  probe.findings = row.texts_or_none("findings");
  probe.accepted = row.text_or("accepted", {});
  return probe;
}

Blueprint read(const Json& document, const std::string& file, const Limits& limits) {
  check_schema(document, file);
  const JsonFields top(document, {}, file, limits);
  Blueprint blueprint;
  blueprint.class_name = top.text_or("class", {});
  blueprint.source = top.text_or("source", {});
  blueprint.tensors = tensors_in(top);
  for (const Json& element : top.array_or_none("modules"))
    blueprint.modules.push_back(module_in(top.at("modules", element, blueprint.modules.size())));
  blueprint.graph = graph_in(top);
  blueprint.optimizer = optimizer_in(top);
  blueprint.environment = members_in(top, "environment");
  blueprint.training = members_in(top, "training");
  blueprint.probe = probe_in(top);
  for (const Json& element : top.array_or_none("unsaved")) {
    const JsonFields row = top.at("unsaved", element, blueprint.unsaved.size());
    blueprint.unsaved.push_back({row.text("name"), row.text_or("why", {})});
  }
  for (const Json& element : top.array_or_none("parents")) {
    const JsonFields row = top.at("parents", element, blueprint.parents.size());
    blueprint.parents.push_back({row.text("digest"), row.text_or("file", {})});
  }
  blueprint.changes = top.texts_or_none("changes");
  blueprint.left_out = top.texts_or_none("left_out");
  return blueprint;
}

}  // namespace

Blueprint parse_blueprint(std::string_view text, const std::string& file, const Limits& limits) {
  return read(model::parse_document(text, file, limits).root, file, limits);
}

Listing read_blueprint(const std::string& path, const Limits& limits) {
  return list(parse_blueprint(io::read_text(path, limits), path, limits), path);
}

Listing list(Blueprint blueprint, const std::string& label) {
  Listing listing;
  listing.label = label;
  listing.tensors = blueprint.tensors;
  listing.class_name = blueprint.class_name;
  listing.blueprint = std::make_shared<const Blueprint>(std::move(blueprint));
  return listing;
}

}  // namespace tenon
