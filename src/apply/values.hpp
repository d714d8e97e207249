// Values: where the leaves of recipes find their tensors. Keeps both checkpoints open, so that recipes can run after
// the listings are gone.
#pragma once

#include <mutex>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include <tenon/listing.hpp>
#include <tenon/plan.hpp>

#include "apply/adapter_config.hpp"

namespace tenon::apply_plan {

class Values {
 public:
  Values(const Listing& checkpoint, const Listing& target);

  /// Index in the checkpoint of the listing's tensor; nothing where it has no bytes.
  std::optional<std::size_t> stored(std::size_t listed) const;
  /// Index in the target's checkpoint of the tensor called `name` there.
  std::optional<std::size_t> own(const std::string& name) const;

  const Checkpoint& checkpoint() const { return *checkpoint_; }
  const Checkpoint& target() const { return *target_; }
  /// The configuration beside the checkpoint; read when a recipe first asks: what merges no adapter has no use for it.
  /// Throws what adapter_config_beside() throws.
  const std::optional<AdapterConfig>& adapter() const;

 private:
  std::optional<Checkpoint> checkpoint_, target_;
  std::vector<std::optional<std::size_t>> stored_;
  std::unordered_map<std::string, std::size_t> own_;
  mutable std::mutex reading_;  // no call_once: where pthread_once is linked statically, no exception passes it
  mutable bool is_adapter_read_ = false;
  mutable std::optional<AdapterConfig> adapter_;
};

/// Whether all leaves of the recipe of the tensor called `name` have values.
bool has_values(const RecipeNode& node, const Values& values, const std::string& name);

}  // namespace tenon::apply_plan
