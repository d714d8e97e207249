// The difference of two op graphs.
#pragma once

#include <vector>

#include <tenon/blueprint.hpp>

namespace tenon::diagnosis {

/// Adds operations that were added, removed, changed or fed otherwise. Modules that `changes` names already are left
/// out: they explain their own operations. Graphs of different recorders are not compared.
void add_graph_changes(const Graph& from, const Graph& to, std::vector<ArchitectureChange>& changes);

/// The recorders are the same, so that the graphs can be compared.
bool comparable(const Graph& from, const Graph& to);

}  // namespace tenon::diagnosis
