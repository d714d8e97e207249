#include "diagnose/function/release.hpp"

#include <nlohmann/json.hpp>

namespace tenon::diagnosis {

std::string framework_of(const Blueprint& blueprint) {
  for (const auto& [name, json] : blueprint.environment) {
    if (name != "framework") continue;
    const auto value = nlohmann::json::parse(json, nullptr, false);
    return value.is_string() ? value.get<std::string>() : std::string();
  }
  return {};
}

std::string release(const std::string& framework) {
  const auto first = framework.find('.');
  return framework.substr(0, first == std::string::npos ? first : framework.find('.', first + 1));
}

}  // namespace tenon::diagnosis
