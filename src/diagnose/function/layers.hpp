// A run as a list of layers: what a person would draw of it, one line a layer.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include <tenon/blueprint.hpp>

namespace tenon::diagnosis {

/// One module without children that ran, or one operation that no such module ran.
struct Layer {
  std::string name;                    ///< path of the module; the operation's name where it stands in no leaf module
  const ModuleSpec* module = nullptr;  ///< null for an operation
  const GraphNode* node = nullptr;     ///< the operation; null for a module
  std::string module_path;             ///< where the operation ran
  std::optional<Shape> shape;          ///< of what it gives, where the run tells
};

/// In the order of the run, where there is a graph; modules that ran no operation of their own are not in it.
std::vector<Layer> layers_of_run(const Blueprint& blueprint);

/// Modules without children, in the order of the tree, with shapes where a run tells them.
std::vector<Layer> layers_of_tree(const Blueprint& blueprint);

/// `Conv2d(16, 32, 3)`: the class and what a person gives it first.
std::string short_text(const ModuleSpec& module);

/// A whole number among the module's options; a window of equal sides counts as its side.
std::optional<std::int64_t> number_option(const ModuleSpec& module, std::string_view name);

/// Elements of one row, which a flattened tensor has; nothing for a scalar and beyond 64 bits.
std::optional<std::int64_t> row_elements(const Shape& shape);

/// What `module` gives for an input of this shape: convolutions, pooling, flattening, linear layers and those that
/// leave shapes alone. Nothing for others, and where the input does not suit.
std::optional<Shape> shape_after(const ModuleSpec& module, const Shape& input);

}  // namespace tenon::diagnosis
