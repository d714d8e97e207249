#include "model/script/script_blueprint.hpp"

#include <algorithm>
#include <map>
#include <set>
#include <string>
#include <utility>

#include <nlohmann/json.hpp>

#include <tenon/error.hpp>

#include "base/utf8.hpp"
#include "formats/core.hpp"
#include "model/script/constants.hpp"
#include "model/script/objects.hpp"
#include "model/script/operations.hpp"
#include "model/script/syntax.hpp"
#include "model/script/walk.hpp"

namespace tenon::model {
namespace {

using namespace script;  // NOLINT: this file is the folder's door

/// `code/__torch__/torch/nn/modules/linear.py` -> `__torch__.torch.nn.modules.linear`
std::string module_of(std::string_view member) {
  std::string name(member.substr(std::string_view("code/").size()));
  name.resize(name.size() - std::string_view(".py").size());
  std::replace(name.begin(), name.end(), '/', '.');
  return name;
}

Program read_program(const formats::CheckpointCore& core) {
  Program program;
  for (const formats::SourceFile& source : core.sources)
    parse_source(base::to_valid_utf8(source.text), module_of(source.member), {core.file, source.member}, program);
  return program;
}

/// Scripting keeps the constants of PyTorch's classes; tracing leaves only what ran.
std::string source_of(const Program& program) {
  bool has_torch_class = false;
  for (const auto& [name, code] : program.classes) {
    if (!code.constants.empty()) return "torchscript";
    has_torch_class = has_torch_class || is_torch_class(name);
  }
  for (const auto& [name, function] : program.functions)
    if (is_torch_class(name)) return "torchscript";
  return has_torch_class ? "torchscript_trace" : "torchscript";
}

/// Names that some method of the class assigns: results and counters, not options.
void assigned_in(const std::vector<Statement>& block, std::set<std::string>& names) {
  for (const Statement& statement : block) {
    if (statement.kind == Statement::Kind::Assign && statement.target.kind == Expr::Kind::Attribute)
      names.insert(statement.target.text);
    assigned_in(statement.body, names);
    assigned_in(statement.otherwise, names);
  }
}

std::string literal_of(const Expr& expr, int depth = 0) {
  if (expr.kind == Expr::Kind::Literal) return expr.text;
  if (expr.kind != Expr::Kind::Sequence || depth > 10) return {};
  std::string text;
  for (const Expr& item : expr.items) {
    const std::string part = literal_of(item, depth + 1);
    if (part.empty()) return {};
    text += (text.empty() ? "" : ",") + part;
  }
  return "[" + text + "]";
}

/// Constants of the class and plain attributes of the object, under public names.
JsonMembers options_of_object(const ScriptObject& object, const ClassCode& code) {
  std::set<std::string> hidden{"training"};
  for (const auto& [name, method] : code.methods) assigned_in(method.body, hidden);
  std::map<std::string, std::string> options;
  for (const auto& [name, expr] : code.constants)
    if (std::string json = literal_of(expr); !json.empty()) options[name] = std::move(json);
  for (const auto& [name, json] : object.values) options[name] = json;
  JsonMembers kept;
  for (auto& [name, json] : options)
    if (!name.starts_with("_") && hidden.count(name) == 0)
      kept.emplace_back(base::to_valid_utf8(name), std::move(json));
  return kept;
}

/// A tensor may be missing (`bias=False`): None is no option.
void drop_absent_tensors(const ClassCode& code, JsonMembers& options) {
  const auto is_declared = [&](const std::string& name) {
    return std::find(code.parameters.begin(), code.parameters.end(), name) != code.parameters.end() ||
           std::find(code.buffers.begin(), code.buffers.end(), name) != code.buffers.end() || name == "bias";
  };
  std::erase_if(options,
                [&](const JsonMember& option) { return option.second == "null" && is_declared(option.first); });
}

/// What a layer of PyTorch's own that runs one operation was told: a traced archive has its options only there.
void add_options_of_operations(const Graph& graph, Blueprint& blueprint) {
  std::map<std::string, std::vector<const GraphNode*>> nodes;
  for (const GraphNode& node : graph.nodes) nodes[node.module].push_back(&node);
  for (ModuleSpec& module : blueprint.modules) {
    const auto found = nodes.find(module.path);
    if (module.is_custom || found == nodes.end() || found->second.size() != 1) continue;
    for (JsonMember& option : options_of(*found->second.front())) {
      const bool is_known = std::any_of(module.options.begin(), module.options.end(),
                                        [&](const JsonMember& own) { return own.first == option.first; });
      if (!is_known) module.options.push_back(std::move(option));
    }
    std::sort(module.options.begin(), module.options.end());
  }
}

void add_modules(const Program& program, const ScriptObjects& objects, Blueprint& blueprint) {
  std::map<std::string, Role> roles;
  for (const std::string& path : objects.module_paths(program)) {
    const ScriptObject& object = *objects.find(path);
    const ClassCode& code = program.classes.find(object.class_name)->second;
    ModuleSpec module{path, short_class(object.class_name), !is_torch_class(object.class_name), {}, {}};
    module.options = options_of_object(object, code);
    drop_absent_tensors(code, module.options);
    blueprint.modules.push_back(std::move(module));
    for (const std::string& name : code.parameters) roles[joined(path, name)] = Role::Parameter;
    for (const std::string& name : code.buffers) roles[joined(path, name)] = Role::Buffer;
  }
  for (TensorSpec& spec : blueprint.tensors)
    if (const auto role = roles.find(spec.name); role != roles.end()) spec.role = role->second;
}

std::string told(const Error& error) {
  std::string text = error.what_happened;
  if (!error.where.member.empty()) text += " (" + error.where.member;
  if (!error.where.member.empty() && error.where.byte) text += ", byte " + std::to_string(*error.where.byte);
  return text + (error.where.member.empty() ? "" : ")");
}

void add_graph(const formats::CheckpointCore& core, const Program& program, const ScriptObjects& objects,
               Blueprint& blueprint, std::vector<std::string>& warnings) {
  try {
    std::optional<Checkpoint> tensors;
    if (core.constants) tensors.emplace(core.constants);
    ScriptConstants constants(std::move(tensors), objects.has_tensors());
    blueprint.graph = walk_forward(program, objects, constants);
    if (!blueprint.graph) return;
    blueprint.graph->recorder = blueprint.source;
    add_options_of_operations(*blueprint.graph, blueprint);
  } catch (const Error& error) {
    warnings.push_back("the operations of the archive's code are not known: " + told(error));
  }
}

}  // namespace

std::optional<Blueprint> script_blueprint(const Checkpoint& checkpoint, std::vector<TensorSpec> tensors,
                                          std::vector<std::string>& warnings) {
  const formats::CheckpointCore& core = checkpoint.core();
  if (core.format != Format::TorchScript) return std::nullopt;
  if (!core.script_problem.empty()) warnings.push_back(core.script_problem);
  if (core.sources.empty()) return std::nullopt;
  try {
    const Program program = read_program(core);
    const ScriptObjects objects(checkpoint);
    Blueprint blueprint;
    blueprint.source = source_of(program);
    blueprint.tensors = std::move(tensors);
    add_modules(program, objects, blueprint);
    if (blueprint.modules.empty()) return std::nullopt;
    blueprint.class_name = blueprint.modules.front().type;
    add_graph(core, program, objects, blueprint, warnings);
    return blueprint;
  } catch (const Error& error) {
    warnings.push_back("no blueprint is taken from the archive's code: " + told(error));
    return std::nullopt;
  }
}

}  // namespace tenon::model
