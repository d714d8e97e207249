// AdapterConfig: what adapter_config.json beside a LoRA file says of its scale.
//
// Source: peft, tuners/lora/{config,layer,model}.py, utils/other.py (get_pattern_key): scale = alpha / r, or
// alpha / sqrt(r) with use_rslora; alpha is lora_alpha, or what alpha_pattern gives the module. Its keys are regular
// expressions for the module's whole name behind `base_model.model.`, or for its end behind a dot; the first that
// matches, in the file's order, wins. r (r, rank_pattern) is read off the factors themselves.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "plan/regex.hpp"

namespace tenon::apply_plan {

struct AdapterConfig {
  std::string file;
  std::optional<double> alpha;
  bool use_rslora = false;
  bool fan_in_fan_out = false;
  std::vector<std::pair<std::shared_ptr<const plan::NamePattern>, double>> alpha_of;  ///< in the file's order

  /// The scale for the low-rank matrix called `key`, of rank `rank`.
  /// Throws Error: Invalid (no number lora_alpha), Limit (a key that no expression is matched with).
  double scale(const std::string& key, std::int64_t rank) const;
};

/// Reads adapter_config.json in the folder of `file` (or in the folder `file`); nothing where there is none.
/// Throws Error: Corrupt, Invalid (an alpha_pattern that cannot be used), Unsupported (an adapter that is not
/// scale * B * A: DoRA, other methods, biases of its own), Limit, Read.
std::optional<AdapterConfig> adapter_config_beside(const std::string& file);

}  // namespace tenon::apply_plan
