// One clause for each operation, as help lines say it: "strip the prefix `module.`".
#pragma once

#include <string>

#include <tenon/plan.hpp>

namespace tenon::rendering {

std::string describe(const Operation& operation);

}  // namespace tenon::rendering
