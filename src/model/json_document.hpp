// JSON documents of ours (blueprints, plans) as trees, read strictly: depth is limited and no member may be named
// twice.
#pragma once

#include <string>
#include <string_view>

#include <nlohmann/json.hpp>

#include <tenon/limits.hpp>

namespace tenon::model {

/// Throws Error: Corrupt (with byte; no JSON, a member named twice, text that is no UTF-8), Limit (too deep, too long).
nlohmann::json parse_document(std::string_view text, const std::string& file, const Limits& limits = {});

}  // namespace tenon::model
