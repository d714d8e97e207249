#include "plan/patterns.hpp"

#include <algorithm>
#include <map>
#include <unordered_map>
#include <unordered_set>

namespace tenon::plan {
namespace {

constexpr std::size_t kMaxLevels = 32;  // deeper names are given one by one

struct Count {
  std::size_t wanted = 0, others = 0;
  bool is_pure() const { return wanted > 0 && others == 0; }
};
using Counts = std::unordered_map<std::string_view, Count>;

void add(Counts& counts, std::string_view part, bool wanted) { wanted ? ++counts[part].wanted : ++counts[part].others; }

/// `a.b.` for the first `levels` levels of a name; nothing when it has no more levels below that.
std::string_view module_prefix(std::string_view name, std::size_t levels) {
  std::size_t at = 0;
  for (std::size_t level = 0; level < levels; ++level) {
    at = name.find('.', at);
    if (at == std::string_view::npos) return {};
    ++at;
  }
  return name.substr(0, at);
}

std::string_view leaf(std::string_view name) {
  const auto dot = name.rfind('.');
  return dot == std::string_view::npos ? std::string_view() : name.substr(dot);
}

/// Leaves that no other name has: `*.bias`.
std::vector<std::string> by_leaves(const std::vector<Named>& names) {
  Counts counts;
  std::vector<std::string_view> order;
  for (const Named& row : names) {
    if (row.wanted && leaf(row.name).empty()) return {};
    if (row.wanted && counts[leaf(row.name)].wanted == 0) order.push_back(leaf(row.name));
    add(counts, leaf(row.name), row.wanted);
  }
  std::vector<std::string> globs;
  for (const std::string_view part : order) {
    if (!counts[part].is_pure()) return {};
    globs.push_back("*" + std::string(part));
  }
  return globs;
}

/// The highest modules that hold wanted names only; names of mixed modules one by one.
std::vector<std::string> by_modules(const std::vector<Named>& names) {
  std::vector<std::string> globs;
  std::vector<const Named*> open;
  for (const Named& row : names) open.push_back(&row);
  for (std::size_t levels = 1; levels <= kMaxLevels && !open.empty(); ++levels) {
    Counts counts;
    for (const Named* row : open) add(counts, module_prefix(row->name, levels), row->wanted);
    std::unordered_set<std::string_view> given;
    std::vector<const Named*> rest;
    for (const Named* row : open) {
      const std::string_view prefix = module_prefix(row->name, levels);
      if (prefix.empty()) {
        if (row->wanted) globs.emplace_back(row->name);
      } else if (!counts[prefix].is_pure()) {
        rest.push_back(row);
      } else if (counts[prefix].wanted == 1) {
        globs.emplace_back(row->name);
      } else if (given.insert(prefix).second) {
        globs.push_back(std::string(prefix) + "*");
      }
    }
    open = std::move(rest);
  }
  for (const Named* row : open)
    if (row->wanted) globs.emplace_back(row->name);
  return globs;
}

}  // namespace

std::vector<std::string> cover(const std::vector<Named>& names) {
  const auto is_wanted = [](const Named& row) { return row.wanted; };
  if (std::none_of(names.begin(), names.end(), is_wanted)) return {};
  if (std::all_of(names.begin(), names.end(), is_wanted)) return {"*"};
  std::vector<std::string> modules = by_modules(names);
  std::vector<std::string> leaves = by_leaves(names);
  return !leaves.empty() && leaves.size() < modules.size() ? leaves : modules;
}

}  // namespace tenon::plan
