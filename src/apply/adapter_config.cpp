#include "apply/adapter_config.hpp"

#include <cmath>
#include <filesystem>

#include <nlohmann/json.hpp>

#include <tenon/error.hpp>
#include <tenon/limits.hpp>

#include "io/mapped_file.hpp"
#include "model/json_document.hpp"

namespace tenon::apply_plan {
namespace {

using Json = nlohmann::json;

bool flag(const Json& json, const char* member) {
  const auto found = json.find(member);
  return found != json.end() && found->is_boolean() && found->get<bool>();
}

AdapterConfig read(const Json& json, const std::string& path) {
  const auto alpha = json.is_object() ? json.find("lora_alpha") : json.end();
  if (!json.is_object() || alpha == json.end() || !alpha->is_number())
    throw Error(Code::Invalid, {path, {}, "lora_alpha", {}}, "the adapter's configuration has no lora_alpha",
                "a number", "none", "give the operation its \"scale\"");
  AdapterConfig config;
  config.alpha = alpha->get<double>();
  config.use_rslora = flag(json, "use_rslora");
  config.fan_in_fan_out = flag(json, "fan_in_fan_out");
  if (const auto pattern = json.find("alpha_pattern"); pattern != json.end() && pattern->is_object())
    for (const auto& [module, value] : pattern->items())
      if (value.is_number()) config.alpha_of.emplace_back(module, value.get<double>());
  return config;
}

/// `a.b.q_proj.lora_A.weight` belongs to the module `a.b.q_proj`.
bool is_of(const std::string& key, const std::string& module) {
  const auto at = key.find(module + ".lora_");
  return at != std::string::npos && (at == 0 || key[at - 1] == '.');
}

}  // namespace

double AdapterConfig::scale(const std::string& key, std::int64_t rank) const {
  double own = alpha;
  for (const auto& [module, value] : alpha_of)
    if (is_of(key, module)) own = value;
  const auto r = static_cast<double>(rank);
  return own / (use_rslora ? std::sqrt(r) : r);
}

std::optional<AdapterConfig> adapter_config_beside(const std::string& file) {
  const std::filesystem::path path(file);
  const bool is_folder = io::path_kind(file) == io::PathKind::Folder;
  const std::string beside = ((is_folder ? path : path.parent_path()) / "adapter_config.json").string();
  if (io::path_kind(beside) != io::PathKind::File) return std::nullopt;
  return read(model::parse_document(io::read_text(beside, Limits{}), beside).root, beside);
}

}  // namespace tenon::apply_plan
