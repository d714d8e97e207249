// The log: blueprint, ancestors, metrics.
#include <tenon/log.hpp>

#include <filesystem>
#include <set>

#include <nlohmann/json.hpp>

#include <tenon/error.hpp>
#include <tenon/listing.hpp>

#include "io/append.hpp"
#include "io/mapped_file.hpp"
#include "model/json_document.hpp"

namespace tenon {
namespace {

using Json = nlohmann::json;

constexpr std::size_t kMostAncestors = 1'000;

std::string metrics_path(const std::string& path) { return path + ".log.jsonl"; }

/// Null for a line that is no JSON: a crash may cut one, and the others still count.
model::JsonTree row_of(const std::string& line, const std::string& path, const Limits& limits) {
  try {
    return model::parse_document(line, path, limits);
  } catch (const Error&) {
    return {};
  }
}

void read_metrics(Log& log, const Limits& limits) {
  const std::string path = metrics_path(log.file);
  if (io::path_kind(path) != io::PathKind::File) return;
  const std::string text = io::read_text(path, limits);
  for (std::size_t begin = 0; begin < text.size();) {
    const std::size_t end = std::min(text.find('\n', begin), text.size());
    const std::string line = text.substr(begin, end - begin);
    begin = end + 1;
    if (line.find_first_not_of(" \t\r") == std::string::npos) continue;
    if (const model::JsonTree row = row_of(line, path, limits); row.root.is_object())
      log.metrics.push_back(row.root.dump(-1, ' ', false, Json::error_handler_t::replace));
    else
      ++log.damaged_lines;
  }
}

/// The blueprint of a file, if it is the one that is meant.
std::shared_ptr<const Blueprint> blueprint_with(const std::string& digest, const std::string& path,
                                                const Limits& limits) {
  if (io::path_kind(path) != io::PathKind::File) return nullptr;
  try {
    const auto blueprint =
        read_listing(path, {.mode = ReadMode::Map, .salvage = Salvage::No, .limits = limits}).blueprint;
    return blueprint && blueprint_digest(*blueprint) == digest ? blueprint : nullptr;
  } catch (const Error&) {
    return nullptr;  // collected: a parent that cannot be read is one that was not found
  }
}

struct FoundParent {
  std::shared_ptr<const Blueprint> blueprint;
  std::string file;  ///< base name
};

/// A parent whose name was not recorded (what `adapt` writes depends on no input's name) is looked for by its digest.
FoundParent find_unnamed(const std::filesystem::path& folder, const std::string& digest, const Limits& limits) {
  std::error_code failed;
  std::set<std::string> names;  // sorted: of two copies the same one is named every time
  const auto here = folder.empty() ? std::filesystem::path(".") : folder;
  for (auto entry = std::filesystem::directory_iterator(here, failed);
       !failed && entry != std::filesystem::directory_iterator() && names.size() < kMostAncestors;
       entry.increment(failed))
    names.insert(entry->path().filename().string());
  for (const std::string& name : names)
    if (auto blueprint = blueprint_with(digest, (folder / name).string(), limits)) return {std::move(blueprint), name};
  return {};
}

FoundParent find_ancestor(const std::filesystem::path& folder, const Parent& parent, const Limits& limits) {
  const std::filesystem::path name = std::filesystem::path(parent.file).filename();
  if (name.empty()) return find_unnamed(folder, parent.digest, limits);
  if (name != parent.file) return {};
  return {blueprint_with(parent.digest, (folder / name).string(), limits), parent.file};
}

void follow(Log& log, const Blueprint& first, const Limits& limits) {
  const auto folder = std::filesystem::path(log.file).parent_path();
  std::vector<Parent> waiting = first.parents;
  std::set<std::string> seen{log.digest};
  for (std::size_t i = 0; i < waiting.size() && log.ancestors.size() < kMostAncestors; ++i) {
    const Parent parent = waiting[i];
    if (!seen.insert(parent.digest).second) continue;
    const auto [blueprint, file] = find_ancestor(folder, parent, limits);
    log.ancestors.push_back({parent.digest, blueprint ? file : parent.file, blueprint != nullptr, {}});
    if (!blueprint) continue;
    log.ancestors.back().changes = blueprint->changes;
    waiting.insert(waiting.end(), blueprint->parents.begin(), blueprint->parents.end());
  }
}

}  // namespace

Log read_log(const std::string& path, const Limits& limits) {
  Log log;
  log.file = path;
  const Listing listing = read_listing(path, {.mode = ReadMode::Map, .salvage = Salvage::No, .limits = limits});
  if (listing.blueprint) {
    log.blueprint = *listing.blueprint;
    log.digest = blueprint_digest(*log.blueprint);
    follow(log, *log.blueprint, limits);
  }
  read_metrics(log, limits);
  return log;
}

void append_log(const std::string& path, const JsonMembers& members) {
  if (io::path_kind(path) == io::PathKind::Missing)
    throw Error(Code::NotFound, {path, {}, {}, {}}, "no such file", "a checkpoint whose log is kept", {},
                "check the path");
  Json row = Json::object();
  for (const auto& [name, json] : members) {
    Json value = Json::parse(json, nullptr, false);
    row[name] = value.is_discarded() ? Json(json) : std::move(value);
  }
  io::append_line(metrics_path(path), row.dump(-1, ' ', false, Json::error_handler_t::replace));
}

void set_parent(Blueprint& child, const Blueprint& parent, const std::string& file) {
  child.parents = {{blueprint_digest(parent), std::filesystem::path(file).filename().string()}};
  child.changes = changes_since(parent, child);
}

}  // namespace tenon
