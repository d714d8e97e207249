#include "plan/state.hpp"

#include <algorithm>
#include <unordered_set>

#include <tenon/error.hpp>

#include "base/text.hpp"
#include "plan/regex.hpp"

namespace tenon::plan {

State::State(const Listing& checkpoint) {
  tensors_.reserve(checkpoint.tensors.size());
  for (std::size_t i = 0; i < checkpoint.tensors.size(); ++i) tensors_.push_back({checkpoint.tensors[i], i});
}

std::size_t State::run(const Op& op) {
  return std::visit([this](const auto& operation) { return operate(operation); }, op.operation);
}

template <class Condition>
std::size_t State::drop_where(Condition condition) {
  const auto stays = [&](const Planned& tensor) { return !condition(tensor.spec); };
  const auto gone = std::stable_partition(tensors_.begin(), tensors_.end(), stays);
  const auto count = static_cast<std::size_t>(tensors_.end() - gone);
  for (auto tensor = gone; tensor != tensors_.end(); ++tensor) dropped_.push_back(tensor->source);
  tensors_.erase(gone, tensors_.end());
  return count;
}

std::size_t State::operate(const StripPrefix& op) {
  std::size_t count = 0;
  for (Planned& tensor : tensors_) {
    if (!tensor.spec.name.starts_with(op.prefix)) continue;
    tensor.spec.name.erase(0, op.prefix.size());
    ++count;
  }
  return count;
}

std::size_t State::operate(const AddPrefix& op) {
  for (Planned& tensor : tensors_) tensor.spec.name.insert(0, op.prefix);
  return tensors_.size();
}

std::size_t State::operate(const Unwrap& op) {
  const std::string prefix = op.path + ".";
  // An error text shows a container by its name alone, with nothing below it: then the name is all that can go.
  const bool is_shown_as_name = std::any_of(tensors_.begin(), tensors_.end(), [&](const Planned& tensor) {
    return tensor.spec.name == op.path && !tensor.spec.dtype;
  });
  const auto outside = [&](const TensorSpec& spec) { return !spec.name.starts_with(prefix); };
  const auto inside = static_cast<std::size_t>(
      std::count_if(tensors_.begin(), tensors_.end(), [&](const Planned& tensor) { return !outside(tensor.spec); }));
  if (inside == 0 && !is_shown_as_name) return 0;
  drop_where(outside);
  for (Planned& tensor : tensors_) tensor.spec.name.erase(0, prefix.size());
  unwrapped_ += (unwrapped_.empty() ? "" : ".") + op.path;
  return is_shown_as_name ? inside + 1 : inside;
}

std::size_t State::operate(const Rename& op) {
  std::size_t count = 0;
  if (!op.regex) {
    for (Planned& tensor : tensors_) {
      if (tensor.spec.name != op.from) continue;
      tensor.spec.name = op.to;
      ++count;
    }
    return count;
  }
  const NamePattern pattern(op.from);
  std::vector<std::optional<std::string>> renamed(
      tensors_.size());  // beside `tensors_`, so that a throw changes nothing
  for (std::size_t i = 0; i < tensors_.size(); ++i) renamed[i] = pattern.replaced(tensors_[i].spec.name, op.to);
  for (std::size_t i = 0; i < tensors_.size(); ++i) {
    if (!renamed[i]) continue;
    tensors_[i].spec.name = std::move(*renamed[i]);
    ++count;
  }
  return count;
}

std::size_t State::operate(const Drop& op) {
  return drop_where([&](const TensorSpec& spec) { return base::glob_match(op.pattern, spec.name); });
}

std::size_t State::operate(const KeepTarget& op) {
  kept_patterns_.push_back(op.pattern);
  return drop_where([&](const TensorSpec& spec) { return base::glob_match(op.pattern, spec.name); });
}

std::size_t State::operate(const Cast& op) {
  std::size_t count = 0;
  for (Planned& tensor : tensors_) {
    if (!base::glob_match(op.pattern, tensor.spec.name)) continue;
    tensor.spec.dtype = op.dtype;
    ++count;
  }
  return count;
}

bool State::keeps_target(std::string_view name) const {
  return std::any_of(kept_patterns_.begin(), kept_patterns_.end(),
                     [&](const std::string& pattern) { return base::glob_match(pattern, name); });
}

std::optional<std::string> State::collision() const {
  std::unordered_set<std::string_view> seen;
  seen.reserve(tensors_.size());
  for (const Planned& tensor : tensors_)
    if (!seen.insert(tensor.spec.name).second) return tensor.spec.name;
  return std::nullopt;
}

}  // namespace tenon::plan
