// JSON documents of ours (blueprints, plans) as trees, read strictly: depth is limited and no member may be named
// twice.
#pragma once

#include <string>
#include <string_view>
#include <utility>

#include <nlohmann/json.hpp>

#include <tenon/limits.hpp>

namespace tenon::model {

/// A tree that ends without asking for memory. The destructor of a `nlohmann::json` with something in it moves all of
/// it onto a vector first; where memory has failed, that ends the process.
struct JsonTree {
  JsonTree() = default;
  ~JsonTree();
  JsonTree(JsonTree&& other) noexcept : root(std::move(other.root)) {}
  JsonTree(const JsonTree&) = delete;
  JsonTree& operator=(const JsonTree&) = delete;
  JsonTree& operator=(JsonTree&&) = delete;

  nlohmann::json root;
};

/// Throws Error: Corrupt (with byte; no JSON, a member named twice, text that is no UTF-8), Limit (too deep, too long).
JsonTree parse_document(std::string_view text, const std::string& file, const Limits& limits = {});

}  // namespace tenon::model
