// The JSON members of single operations. Writing keeps their order and leaves out what is the default; reading refuses
// members it does not know.
#pragma once

#include <cstddef>
#include <string>

#include <nlohmann/json.hpp>

#include <tenon/plan.hpp>

namespace tenon::plan {

void write_members(const Operation& operation, nlohmann::ordered_json& json);

/// Reads element `index` of the plan's operations. Throws Error Invalid with the place `ops[index].member`.
Op read_op(const nlohmann::json& json, std::size_t index, const std::string& file);

}  // namespace tenon::plan
