// What a plan leaves out and whether it is missed, as JSON beside the operations and as a report's notes.
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <vector>

#include <tenon/diagnose.hpp>

#include "render/json_value.hpp"

namespace tenon::rendering {

/// `{"ops": [...], "drops": [{"op": 0, "harm": "harmless" | "harmful", "tensors", "parameters", "why"}]}`.
Json plan_json(const Plan& plan, const std::vector<DropVerdict>& drops);

/// "leaving `a.*`, `b` and 3 more out is harmless: ...", one for each reason, of the operations `ops`.
std::vector<std::string> drop_notes(const Plan& plan, const std::vector<DropVerdict>& drops,
                                    std::span<const std::size_t> ops);

/// " (harmless: a counter, ...)", or "" where `op` leaves nothing out.
std::string drop_remark(const std::vector<DropVerdict>& drops, std::size_t op);

}  // namespace tenon::rendering
