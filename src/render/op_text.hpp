// One clause for each operation, as help lines say it: "strip the prefix `module.`".
#pragma once

#include <string>

#include <tenon/plan.hpp>

namespace tenon::rendering {

std::string describe(const Operation& operation);

/// The operation as it stands in a plan, without its applicability: {"op": "strip_prefix", "prefix": "module."}
std::string plan_text(const Op& op);

}  // namespace tenon::rendering
