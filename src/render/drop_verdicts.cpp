#include "render/drop_verdicts.hpp"

#include <algorithm>
#include <string_view>
#include <utility>
#include <variant>

#include <fmt/format.h>

#include "base/text.hpp"
#include "render/page.hpp"

namespace tenon::rendering {
namespace {

constexpr std::size_t kMostPatterns = 3;

std::string_view harm_name(Harm harm) {
  switch (harm) {
    case Harm::Harmless: return "harmless";
    case Harm::Harmful: return "harmful";
  }
  throw Bug("unknown Harm");
}

Json row_of(const DropVerdict& drop) {
  Json json;
  json["op"] = drop.op;
  json["harm"] = std::string(harm_name(drop.harm));
  json["tensors"] = json_number(drop.tensors);
  json["parameters"] = json_number(drop.parameters);
  json["why"] = json_text(drop.why);
  return json;
}

/// Operations of one answer.
struct Group {
  Harm harm;
  std::string why;
  std::vector<std::string> patterns;
};

std::string sentence(const Group& group) {
  const std::size_t shown = std::min(group.patterns.size(), kMostPatterns);
  std::vector<std::string> patterns;
  for (std::size_t i = 0; i < shown; ++i) patterns.push_back("`" + safe(group.patterns[i]) + "`");
  std::string names = base::join(patterns, ", ");
  if (shown < group.patterns.size()) names += fmt::format(" and {} more", group.patterns.size() - shown);
  return fmt::format("leaving {} out is {}: {}", names, harm_name(group.harm), safe(group.why));
}

}  // namespace

Json plan_json(const Plan& plan, const std::vector<DropVerdict>& drops) {
  Json json = Json::parse(to_json(plan));
  json["drops"] = Json::array();
  for (const DropVerdict& drop : drops) json["drops"].push_back(row_of(drop));
  return json;
}

std::vector<std::string> drop_notes(const Plan& plan, const std::vector<DropVerdict>& drops,
                                    std::span<const std::size_t> ops) {
  std::vector<Group> groups;
  for (const DropVerdict& drop : drops) {
    const auto* operation = std::get_if<Drop>(&plan.ops.at(drop.op).operation);
    if (operation == nullptr || std::find(ops.begin(), ops.end(), drop.op) == ops.end()) continue;
    auto group = std::find_if(groups.begin(), groups.end(),
                              [&](const Group& one) { return one.harm == drop.harm && one.why == drop.why; });
    if (group == groups.end()) group = groups.insert(groups.end(), {drop.harm, drop.why, {}});
    group->patterns.push_back(operation->pattern);
  }
  std::vector<std::string> notes;
  for (const Group& group : groups) notes.push_back(sentence(group));
  return notes;
}

std::string drop_remark(const std::vector<DropVerdict>& drops, std::size_t op) {
  const auto found = std::find_if(drops.begin(), drops.end(), [op](const DropVerdict& drop) { return drop.op == op; });
  if (found == drops.end()) return {};
  return fmt::format(" ({}: {})", harm_name(found->harm), safe(found->why));
}

}  // namespace tenon::rendering
