#include "diagnose/function/layers.hpp"

#include <algorithm>
#include <iterator>
#include <unordered_map>
#include <unordered_set>
#include <utility>

#include <nlohmann/json.hpp>

#include "diagnose/function/option_text.hpp"

namespace tenon::diagnosis {
namespace {

using Json = nlohmann::json;

std::string parent_of(const std::string& path) {
  const auto dot = path.rfind('.');
  return dot == std::string::npos ? std::string() : path.substr(0, dot);
}

/// path -> module, of those that hold no others.
std::unordered_map<std::string_view, const ModuleSpec*> leaves(const Blueprint& blueprint) {
  std::unordered_set<std::string> parents;
  for (const ModuleSpec& module : blueprint.modules)
    if (!module.path.empty()) parents.insert(parent_of(module.path));
  std::unordered_map<std::string_view, const ModuleSpec*> found;
  for (const ModuleSpec& module : blueprint.modules)
    if (!module.path.empty() && parents.count(module.path) == 0) found.emplace(module.path, &module);
  return found;
}

Json option(const ModuleSpec& module, std::string_view name) {
  const auto found = std::find_if(module.options.begin(), module.options.end(),
                                  [&](const JsonMember& member) { return member.first == name; });
  return found == module.options.end() ? Json() : Json::parse(found->second, nullptr, false);
}

/// Along one axis; an option that is one number holds for all of them.
std::optional<std::int64_t> along(const ModuleSpec& module, std::string_view name, std::size_t axis) {
  const Json value = option(module, name);
  const Json& item = value.is_array() && axis < value.size() ? value[axis] : value;
  if (!item.is_number_integer()) return std::nullopt;
  const auto number = item.get<std::int64_t>();
  constexpr std::int64_t kMost = 1 << 30;  // keeps the arithmetic below within 64 bits
  return number >= 0 && number <= kMost ? std::optional(number) : std::nullopt;
}

struct Class {
  bool is_convolution = false, is_pooling = false, is_adaptive = false;
  std::size_t axes = 0;  ///< of the window
};

Class class_of(const std::string& type) {
  Class its;
  const bool has_axes =
      type.size() > 2 && type.back() == 'd' && type[type.size() - 2] >= '1' && type[type.size() - 2] <= '3';
  if (!has_axes) return its;
  its.axes = static_cast<std::size_t>(type[type.size() - 2] - '0');
  const std::string stem = type.substr(0, type.size() - 2);
  its.is_convolution = stem == "Conv";
  its.is_pooling = stem == "MaxPool" || stem == "AvgPool";
  its.is_adaptive = stem == "AdaptiveAvgPool" || stem == "AdaptiveMaxPool";
  return its;
}

/// Source of the formula: torch.nn.Conv2d and MaxPool2d, "Shape".
std::optional<std::int64_t> extent_after(const ModuleSpec& module, std::int64_t extent, std::size_t axis) {
  const auto window = along(module, "kernel_size", axis);
  const auto padding =
      option(module, "padding").is_null() ? std::optional<std::int64_t>(0) : along(module, "padding", axis);
  if (!window || !padding || option(module, "ceil_mode") == true) return std::nullopt;
  const std::int64_t dilation = along(module, "dilation", axis).value_or(1);
  const std::int64_t stride = along(module, "stride", axis).value_or(*window);
  const std::int64_t room = std::min(extent, std::int64_t{1} << 40) + 2 * *padding - dilation * (*window - 1) - 1;
  if (stride <= 0 || room < 0) return std::nullopt;
  return room / stride + 1;
}

std::optional<Shape> after_window(const ModuleSpec& module, const Class& its, Shape shape) {
  if (shape.size() != its.axes + 2) return std::nullopt;
  if (its.is_convolution) {
    const auto in = number_option(module, "in_channels"), out = number_option(module, "out_channels");
    if (!in || !out || *in != shape[1]) return std::nullopt;
    shape[1] = *out;
  }
  for (std::size_t axis = 0; axis < its.axes; ++axis) {
    const auto extent =
        its.is_adaptive ? along(module, "output_size", axis) : extent_after(module, shape[axis + 2], axis);
    if (!extent) return std::nullopt;
    shape[axis + 2] = *extent;
  }
  return shape;
}

std::optional<Shape> after_linear(const ModuleSpec& module, Shape shape) {
  const auto in = number_option(module, "in_features"), out = number_option(module, "out_features");
  if (shape.empty() || !in || !out || shape.back() != *in) return std::nullopt;
  shape.back() = *out;
  return shape;
}

constexpr std::string_view kKeepShape[] = {
    "ReLU",           "ReLU6",          "LeakyReLU",    "PReLU",     "ELU",         "SELU",        "CELU",
    "GELU",           "SiLU",           "Mish",         "Tanh",      "Sigmoid",     "Hardtanh",    "Hardswish",
    "Softplus",       "Softsign",       "Softmax",      "Identity",  "Dropout",     "Dropout1d",   "Dropout2d",
    "Dropout3d",      "LayerNorm",      "AlphaDropout", "GroupNorm", "BatchNorm1d", "BatchNorm2d", "BatchNorm3d",
    "InstanceNorm1d", "InstanceNorm2d", "LogSoftmax"};

}  // namespace

std::optional<std::int64_t> number_option(const ModuleSpec& module, std::string_view name) {
  const Json value = option(module, name);
  const bool is_window = value.is_array() && !value.empty() &&
                         std::all_of(value.begin(), value.end(), [&](const Json& item) { return item == value[0]; });
  const Json& item = is_window ? value[0] : value;
  return item.is_number_integer() ? std::optional(item.get<std::int64_t>()) : std::nullopt;
}

std::optional<std::int64_t> row_elements(const Shape& shape) {
  std::int64_t product = 1;
  for (std::size_t axis = 1; axis < shape.size(); ++axis)
    if (__builtin_mul_overflow(product, shape[axis], &product)) return std::nullopt;
  return shape.empty() ? std::nullopt : std::optional(product);
}

std::optional<Shape> shape_after(const ModuleSpec& module, const Shape& input) {
  const Class its = class_of(module.type);
  if (its.is_convolution || its.is_pooling || its.is_adaptive) return after_window(module, its, input);
  if (module.type == "Linear") return after_linear(module, input);
  if (module.type == "Flatten" && number_option(module, "start_dim").value_or(1) == 1 && input.size() > 1) {
    const auto elements = row_elements(input);
    return elements ? std::optional(Shape{input[0], *elements}) : std::nullopt;
  }
  const bool keeps = std::find(std::begin(kKeepShape), std::end(kKeepShape), module.type) != std::end(kKeepShape);
  return keeps ? std::optional(input) : std::nullopt;
}

std::string short_text(const ModuleSpec& module) {
  constexpr std::string_view kFirst[] = {"in_channels",
                                         "out_channels",
                                         "in_features",
                                         "out_features",
                                         "num_features",
                                         "num_embeddings",
                                         "embedding_dim",
                                         "input_size",
                                         "hidden_size",
                                         "normalized_shape",
                                         "kernel_size",
                                         "output_size",
                                         "p"};
  std::string text;
  const auto add = [&](std::string_view name) {
    const Json value = option(module, name);
    if (!value.is_null() && !value.is_discarded())
      text += (text.empty() ? "" : ", ") + arguments_text(Json::array({value}).dump());
  };
  for (const std::string_view name : kFirst) add(name);
  if (class_of(module.type).is_pooling) add("stride");
  return module.type + "(" + text + ")";
}

std::vector<Layer> layers_of_run(const Blueprint& blueprint) {
  std::vector<Layer> layers;
  if (!blueprint.graph) return layers;
  const auto modules = leaves(blueprint);
  for (const GraphNode& node : blueprint.graph->nodes) {
    const auto found = modules.find(node.module);
    const bool is_module = found != modules.end();
    if (is_module && !layers.empty() && layers.back().module == found->second) {
      layers.back().shape = node.output;
      continue;
    }
    layers.push_back({is_module ? node.module : node.op, is_module ? found->second : nullptr,
                      is_module ? nullptr : &node, node.module, node.output});
  }
  return layers;
}

std::vector<Layer> layers_of_tree(const Blueprint& blueprint) {
  std::unordered_map<std::string_view, Shape> shapes;
  if (blueprint.graph)
    for (const GraphNode& node : blueprint.graph->nodes)
      if (node.output) shapes[node.module] = *node.output;
  const auto modules = leaves(blueprint);
  std::vector<Layer> layers;
  for (const ModuleSpec& module : blueprint.modules) {
    if (modules.count(module.path) == 0) continue;
    const auto shape = shapes.find(module.path);
    layers.push_back({module.path, &module, nullptr, module.path,
                      shape == shapes.end() ? std::nullopt : std::optional(shape->second)});
  }
  return layers;
}

}  // namespace tenon::diagnosis
