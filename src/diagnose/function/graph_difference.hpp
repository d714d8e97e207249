// The difference of two op graphs.
#pragma once

#include <vector>

#include <tenon/blueprint.hpp>

namespace tenon::diagnosis {

/// Adds operations that were added, removed, changed or fed otherwise. Modules that `changes` names already are left
/// out: they explain their own operations. Graphs that cannot be compared add nothing.
void add_graph_changes(const Blueprint& from, const Blueprint& to, std::vector<ArchitectureChange>& changes);

/// Both list modules, and in names that compare: a live module's and those of an archive's code do; what a
/// `config.json` says stands for itself.
bool comparable_modules(const Blueprint& from, const Blueprint& to);

/// Both have graphs of one recorder. LibTorch's operators, which `record_function` sees, are others in each release;
/// what Python calls, which `torch_function` sees, is the same.
bool comparable_graphs(const Blueprint& from, const Blueprint& to);

}  // namespace tenon::diagnosis
