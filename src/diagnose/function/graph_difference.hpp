// The difference of two op graphs.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include <tenon/blueprint.hpp>

namespace tenon::diagnosis {

/// Adds operations that were added, removed, changed or fed otherwise. Modules that `changes` names already are left
/// out: they explain their own operations. Graphs that cannot be compared add nothing.
void add_graph_changes(const Blueprint& from, const Blueprint& to, std::vector<ArchitectureChange>& changes);

/// Where a changed operation stands in both graphs; nothing on the side that has none.
struct NodePlaces {
  std::optional<std::size_t> from, to;
};

/// The first place that `change`, which add_graph_changes() added, tells of. Without places for changes of modules.
NodePlaces places_of(const Blueprint& from, const Blueprint& to, const ArchitectureChange& change);

/// `conv2d(conv.weight, conv.bias, 1, 0)`: the operation with the weights that it takes and its arguments.
std::string call_text(const GraphNode& node);

/// Both list modules, and in names that compare: a live module's and those of an archive's code do; what a
/// `config.json` says stands for itself.
bool comparable_modules(const Blueprint& from, const Blueprint& to);

/// Both have graphs of one recorder. LibTorch's operators, which `record_function` sees, are others in each release;
/// what Python calls, which `torch_function` sees, is the same.
bool comparable_graphs(const Blueprint& from, const Blueprint& to);

/// Modules without tensors that stand under two names on one side and are two modules on the other (one ReLU used
/// twice): the second name -> the first. Whether they are shared decides nothing.
std::unordered_map<std::string, std::string> names_of_shared(const Blueprint& from, const Blueprint& to);

}  // namespace tenon::diagnosis
