// AdapterConfig: what adapter_config.json beside a LoRA file says of its scale.
//
// Source: peft, tuners/lora/{config,layer}.py: scale = lora_alpha / r, or lora_alpha / sqrt(r) with use_rslora;
// alpha_pattern gives modules whose name ends in its key an alpha of their own.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace tenon::apply_plan {

struct AdapterConfig {
  double alpha = 0;
  bool use_rslora = false;
  bool fan_in_fan_out = false;
  std::vector<std::pair<std::string, double>> alpha_of;  ///< module name, or its end, and its alpha

  /// The scale for the low-rank matrix called `key`, of rank `rank`.
  double scale(const std::string& key, std::int64_t rank) const;
};

/// Reads adapter_config.json in the folder of `file` (or in the folder `file`); nothing where there is none.
/// Throws Error: Corrupt, Invalid (no number lora_alpha), Limit, Read.
std::optional<AdapterConfig> adapter_config_beside(const std::string& file);

}  // namespace tenon::apply_plan
