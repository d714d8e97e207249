#include "model/script/objects.hpp"

#include <algorithm>
#include <optional>
#include <utility>
#include <variant>

#include <tenon/blueprint.hpp>

namespace tenon::model::script {
namespace {

constexpr int kMaxDepth = 100;
constexpr std::size_t kMaxItems = 4096;

bool is_script_class(std::string_view type) { return type.starts_with("__torch__."); }

std::optional<std::string> json_of(const Value& value, int depth = 0);

std::optional<std::string> json_of(const Sequence& sequence, int depth) {
  if (sequence.items.size() > kMaxItems) return std::nullopt;
  std::string text;
  for (const Value& item : sequence.items) {
    const auto json = json_of(item, depth + 1);
    if (!json) return std::nullopt;
    text += (text.empty() ? "" : ",") + *json;
  }
  return "[" + text + "]";
}

std::optional<std::string> json_of(const Mapping& mapping, int depth) {
  if (mapping.items.size() > kMaxItems) return std::nullopt;
  std::string text;
  for (const ValuePair& item : mapping.items) {
    const auto value = json_of(item.second, depth + 1);
    const auto* name = std::get_if<std::string>(&item.first.is);
    const auto key = name != nullptr ? as_json(*name) : as_json(json_of(item.first, depth + 1).value_or("?"));
    if (!value) return std::nullopt;
    text += (text.empty() ? "" : ",") + key + ":" + *value;
  }
  return "{" + text + "}";
}

/// Nothing for what is not plain.
std::optional<std::string> json_of(const Value& value, int depth) {
  if (depth > kMaxDepth) return std::nullopt;
  if (std::holds_alternative<std::monostate>(value.is)) return "null";
  if (const auto* flag = std::get_if<bool>(&value.is)) return *flag ? "true" : "false";
  if (const auto* number = std::get_if<std::int64_t>(&value.is)) return std::to_string(*number);
  if (const auto* number = std::get_if<double>(&value.is)) return as_json(*number);
  if (const auto* text = std::get_if<std::string>(&value.is)) return as_json(*text);
  if (const auto* sequence = std::get_if<Sequence>(&value.is)) return json_of(*sequence, depth);
  if (const auto* mapping = std::get_if<Mapping>(&value.is)) return json_of(*mapping, depth);
  return std::nullopt;
}

/// The container around an object's name; the key is what is left.
std::string_view parent_of(std::string_view name, std::string_view key) {
  return name.size() > key.size() ? name.substr(0, name.size() - key.size() - 1) : std::string_view();
}

}  // namespace

std::string joined(std::string_view path, std::string_view name) {
  return path.empty() ? std::string(name) : std::string(path) + "." + std::string(name);
}

std::string short_class(std::string_view class_name) {
  return std::string(class_name.substr(class_name.rfind('.') + 1));
}

bool is_torch_class(std::string_view class_name) { return class_name.starts_with("__torch__.torch."); }

ScriptObjects::ScriptObjects(const Checkpoint& checkpoint) : file_(checkpoint.file()) {
  for (const Container& container : checkpoint.containers())
    if (is_script_class(container.type)) objects_[container.path] = {container.path, container.type, {}};
  for (const TensorInfo& tensor : checkpoint.tensors()) tensors_.insert(tensor.name);
  for (const Object& object : checkpoint.objects()) {
    const auto around = objects_.find(parent_of(object.name, object.key()));
    if (std::holds_alternative<Record>(object.value.is))
      add_record(object.name, object.value, 0);
    else if (around != objects_.end() && !object.name.empty())
      if (const auto json = json_of(object.value)) around->second.values.emplace(object.key(), *json);
  }
}

/// Modules without tensors were copied out whole.
void ScriptObjects::add_record(const std::string& path, const Value& value, int depth) {
  const auto& record = std::get<Record>(value.is);
  if (!is_script_class(record.type) || depth > kMaxDepth) return;
  ScriptObject object{path, record.type, {}};
  for (const ValuePair& item : record.state) {
    const auto* name = std::get_if<std::string>(&item.first.is);
    if (name == nullptr) continue;
    if (std::holds_alternative<Record>(item.second.is))
      add_record(joined(path, *name), item.second, depth + 1);
    else if (const auto json = json_of(item.second))
      object.values.emplace(*name, *json);
  }
  objects_[path] = std::move(object);
}

const ScriptObject* ScriptObjects::find(std::string_view path) const {
  const auto found = objects_.find(path);
  return found == objects_.end() ? nullptr : &found->second;
}

std::vector<std::string> ScriptObjects::module_paths(const Program& program) const {
  std::vector<std::string> paths, waiting{std::string()};
  while (!waiting.empty()) {
    const std::string path = std::move(waiting.back());
    waiting.pop_back();
    const ScriptObject* object = find(path);
    if (object == nullptr) continue;
    const auto code = program.classes.find(object->class_name);
    if (code == program.classes.end() || !code->second.is_module()) continue;
    paths.push_back(path);
    const auto& attributes = code->second.attributes;
    std::set<std::string_view> seen;
    std::vector<std::string> children;
    for (const std::string& name : attributes)
      if (!name.empty() && seen.insert(name).second) children.push_back(joined(path, name));
    waiting.insert(waiting.end(), children.rbegin(), children.rend());
  }
  return paths;
}

}  // namespace tenon::model::script
