#include "diagnose/function/release.hpp"

#include <string_view>

#include <nlohmann/json.hpp>

namespace tenon::diagnosis {

namespace {

std::string environment_text(const Blueprint& blueprint, std::string_view wanted) {
  for (const auto& [name, json] : blueprint.environment) {
    if (name != wanted) continue;
    const auto value = nlohmann::json::parse(json, nullptr, false);
    return value.is_string() ? value.get<std::string>() : std::string();
  }
  return {};
}

}  // namespace

std::string framework_of(const Blueprint& blueprint) { return environment_text(blueprint, "framework"); }
std::string config_writer_of(const Blueprint& blueprint) { return environment_text(blueprint, "config_writer"); }

std::string release(const std::string& framework) {
  const auto first = framework.find('.');
  return framework.substr(0, first == std::string::npos ? first : framework.find('.', first + 1));
}

}  // namespace tenon::diagnosis
