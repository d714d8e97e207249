#include "apply/values.hpp"

#include <algorithm>
#include <variant>

#include <tenon/error.hpp>

namespace tenon::apply_plan {
namespace {

std::optional<std::size_t> with_bytes(const Checkpoint& checkpoint, const std::string& name) {
  const auto found = checkpoint.find(name);
  return found && checkpoint.tensors()[*found].storage != kNoStorage ? found : std::nullopt;
}

}  // namespace

Values::Values(const Listing& checkpoint, const Listing& target)
    : checkpoint_(checkpoint.values), target_(target.values) {
  if (checkpoint_) {
    TENON_ASSERT(checkpoint.value_names.size() == checkpoint.tensors.size());
    stored_.reserve(checkpoint.tensors.size());
    for (const std::string& name : checkpoint.value_names) stored_.push_back(with_bytes(*checkpoint_, name));
  }
  if (target_) {
    TENON_ASSERT(target.value_names.size() == target.tensors.size());
    for (std::size_t i = 0; i < target.tensors.size(); ++i)
      if (const auto found = with_bytes(*target_, target.value_names[i])) own_[target.tensors[i].name] = *found;
  }
}

const std::optional<AdapterConfig>& Values::adapter() const {
  const std::lock_guard lock(reading_);
  if (!is_adapter_read_ && checkpoint_) adapter_ = adapter_config_beside(checkpoint_->file());
  is_adapter_read_ = true;
  return adapter_;
}

std::optional<std::size_t> Values::stored(std::size_t listed) const {
  return listed < stored_.size() ? stored_[listed] : std::nullopt;
}

std::optional<std::size_t> Values::own(const std::string& name) const {
  const auto found = own_.find(name);
  return found == own_.end() ? std::nullopt : std::optional(found->second);
}

bool has_values(const RecipeNode& node, const Values& values, const std::string& name) {
  if (const auto* leaf = std::get_if<FromCheckpoint>(&node.step)) return values.stored(leaf->index).has_value();
  if (std::holds_alternative<FromTarget>(node.step)) return values.own(name).has_value();
  return std::all_of(node.inputs.begin(), node.inputs.end(),
                     [&](const Recipe& input) { return has_values(*input, values, name); });
}

}  // namespace tenon::apply_plan
