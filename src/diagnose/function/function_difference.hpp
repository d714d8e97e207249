// FunctionDifference: what two blueprints tell beyond names and shapes, once the names agree.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include <tenon/blueprint.hpp>

#include "diagnose/case.hpp"

namespace tenon::diagnosis {

struct FunctionDifference {
  Blueprint from;  ///< the checkpoint's, under the names that the plan gives
  Blueprint to;    ///< the model's
  std::vector<ArchitectureChange> architecture;
  std::vector<EnvironmentChange> environment;
  std::optional<ProbeComparison> probe;
  std::string why_no_probe;  ///< why the probes were not compared
  bool modules_compared = false, operations_compared = false;
};

/// Nothing where a side has no blueprint. `facts` stands where the plan leads.
std::optional<FunctionDifference> function_difference(const Case& facts);

}  // namespace tenon::diagnosis
