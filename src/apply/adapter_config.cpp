#include "apply/adapter_config.hpp"

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <string_view>

#include <nlohmann/json.hpp>

#include <tenon/error.hpp>
#include <tenon/limits.hpp>

#include "base/json_reader.hpp"
#include "io/mapped_file.hpp"
#include "model/json_document.hpp"

namespace tenon::apply_plan {
namespace {

using Json = nlohmann::json;

bool flag(const Json& json, const char* member) {
  const auto found = json.find(member);
  return found != json.end() && found->is_boolean() && found->get<bool>();
}

/// Adapters that put more than scale * B * A into the model: merged as if they did not, the weights would be wrong.
void require_plain_lora(const Json& json, const std::string& path) {
  const auto refuse = [&](const char* member, std::string what, std::string expected, std::string found) {
    throw Error(Code::Unsupported, {path, {}, member, {}}, std::move(what), std::move(expected), std::move(found),
                "merge the adapter with PEFT: model.merge_and_unload(), then save the model");
  };
  if (const auto type = json.find("peft_type"); type != json.end() && type->is_string() && *type != "LORA")
    refuse("peft_type", "the adapter is of another method than LoRA", "LORA", type->get<std::string>());
  if (flag(json, "use_dora"))
    refuse("use_dora", "the adapter is a DoRA, whose magnitudes are not merged", "a plain LoRA", "\"use_dora\": true");
  if (flag(json, "lora_bias"))
    refuse("lora_bias", "the adapter has biases, which are not merged", "factors only", "\"lora_bias\": true");
}

/// The keys of alpha_pattern in the file's order, which a tree does not keep.
std::vector<std::string> keys_of_alpha_pattern(std::string_view text, const std::string& path) {
  std::vector<std::string> keys;
  base::JsonReader reader(text, path, 0, Limits{}.json_depth);
  reader.begin_object();
  while (const auto member = reader.next_key()) {
    if (*member != "alpha_pattern") {
      reader.skip_value();
      continue;
    }
    reader.begin_object();
    while (const auto key = reader.next_key()) {
      keys.emplace_back(*key);
      reader.skip_value();
    }
  }
  return keys;
}

/// Escapes that Python's expressions and ECMAScript's read differently: `\Z` is an end there, and a letter here.
void require_common_escapes(const std::string& key, const Where& place) {
  constexpr std::string_view kCommon = "dDsSwWbBfnrtvxu";
  for (std::size_t i = 0; i + 1 < key.size(); ++i) {
    if (key[i] != '\\') continue;
    const char c = key[++i];
    const bool is_letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
    if (is_letter && kCommon.find(c) == std::string_view::npos)
      throw Error(Code::Invalid, place, "an expression of alpha_pattern cannot be used",
                  "escapes that Python and ECMAScript share", std::string("\\") + c,
                  "write the expression another way, or give the operation its \"scale\"");
  }
}

void read_alpha_pattern(const Json& pattern, const std::vector<std::string>& keys, AdapterConfig& config) {
  for (const std::string& key : keys) {
    const Where place{config.file, {}, "alpha_pattern." + key.substr(0, 200), {}};
    const Json& value = pattern.at(key);
    if (!value.is_number())
      throw Error(Code::Invalid, place, "an alpha of the adapter's configuration is no number", "a number",
                  value.type_name());
    require_common_escapes(key, place);
    config.alpha_of.emplace_back(std::make_shared<const plan::NamePattern>("(.*\\.)?(" + key + ")$", place),
                                 value.get<double>());
  }
}

AdapterConfig read(const Json& json, std::string_view text, const std::string& path) {
  if (!json.is_object())
    throw Error(Code::Invalid, {path, {}, {}, {}}, "the adapter's configuration is no JSON object", "an object",
                json.type_name());
  require_plain_lora(json, path);
  AdapterConfig config;
  config.file = path;
  if (const auto alpha = json.find("lora_alpha"); alpha != json.end() && alpha->is_number())
    config.alpha = alpha->get<double>();
  config.use_rslora = flag(json, "use_rslora");
  config.fan_in_fan_out = flag(json, "fan_in_fan_out");
  const auto pattern = json.find("alpha_pattern");
  if (pattern == json.end() || pattern->is_null()) return config;
  if (!pattern->is_object())
    throw Error(Code::Invalid, {path, {}, "alpha_pattern", {}}, "alpha_pattern is no JSON object", "an object",
                pattern->type_name());
  read_alpha_pattern(*pattern, keys_of_alpha_pattern(text, path), config);
  return config;
}

/// `base_model.model.a.q_proj.lora_A.weight` belongs to `a.q_proj`, as the model that is adapted calls it.
std::string module_of(std::string_view key) {
  constexpr std::string_view kWrapper = "base_model.model.";
  if (key.starts_with(kWrapper)) key.remove_prefix(kWrapper.size());
  return std::string(key.substr(0, key.rfind(".lora_")));
}

}  // namespace

double AdapterConfig::scale(const std::string& key, std::int64_t rank) const {
  std::optional<double> own = alpha;
  const std::string module = module_of(key);
  const auto matches = [&](const auto& row) { return row.first->replaced(module, {}).has_value(); };
  if (const auto found = std::find_if(alpha_of.begin(), alpha_of.end(), matches); found != alpha_of.end())
    own = found->second;
  if (!own)
    throw Error(Code::Invalid, {file, {}, "lora_alpha", {}}, "the adapter's configuration has no lora_alpha",
                "a number", "none", "give the operation its \"scale\"");
  const auto r = static_cast<double>(rank);
  return *own / (use_rslora ? std::sqrt(r) : r);
}

std::optional<AdapterConfig> adapter_config_beside(const std::string& file) {
  const std::filesystem::path path(file);
  const bool is_folder = io::path_kind(file) == io::PathKind::Folder;
  const std::string beside = ((is_folder ? path : path.parent_path()) / "adapter_config.json").string();
  if (io::path_kind(beside) != io::PathKind::File) return std::nullopt;
  const std::string text = io::read_text(beside, Limits{});
  return read(model::parse_document(text, beside).root, text, beside);
}

}  // namespace tenon::apply_plan
