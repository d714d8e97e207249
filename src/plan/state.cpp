#include "plan/state.hpp"

#include <algorithm>
#include <limits>
#include <unordered_set>

#include <tenon/error.hpp>

#include "base/text.hpp"
#include "plan/limits.hpp"
#include "plan/regex.hpp"

namespace tenon::plan {

namespace {

/// Bytes of all tensors, as far as they are known; saturates.
std::uint64_t total_bytes(const Listing& listing) {
  std::uint64_t total = 0;
  for (const TensorSpec& spec : listing.tensors) {
    if (!spec.shape || !spec.dtype) continue;
    if (__builtin_add_overflow(total, byte_size(*spec.shape, *spec.dtype), &total))
      return std::numeric_limits<std::uint64_t>::max() / kMaxGrowth;
  }
  return std::min(total, std::numeric_limits<std::uint64_t>::max() / kMaxGrowth);
}

Error too_much(const char* what, std::uint64_t most) {
  return Error(Code::Limit, {}, what, "at most " + base::count_text(most), "more",
               "write the plan with fewer, wider operations");
}

}  // namespace

State::State(const Listing& checkpoint)
    : most_bytes_(std::max(kMadeTensorBytes, kMaxGrowth * total_bytes(checkpoint))) {
  tensors_.reserve(checkpoint.tensors.size());
  for (std::size_t i = 0; i < checkpoint.tensors.size(); ++i) tensors_.push_back({checkpoint.tensors[i], i, {}});
}

std::size_t State::run(const Op& op) {
  spend(tensors_.size() + 1);
  applicability_ = op.applicability;
  return std::visit([this](const auto& operation) { return operate(operation); }, op.operation);
}

void State::spend(std::uint64_t steps) {
  if (steps > kMaxSteps || steps_ > kMaxSteps - steps) throw too_much("the plan needs too many steps", kMaxSteps);
  steps_ += steps;
}

void State::add_name_bytes(std::uint64_t bytes) {
  if (bytes > kMaxNewNameBytes || name_bytes_ > kMaxNewNameBytes - bytes)
    throw too_much("the plan makes names too long", kMaxNewNameBytes);
  name_bytes_ += bytes;
}

std::size_t State::drop_where(const std::function<bool(const TensorSpec&)>& condition) {
  const auto stays = [&](const Planned& tensor) { return !condition(tensor.spec); };
  const auto gone = std::stable_partition(tensors_.begin(), tensors_.end(), stays);
  const auto count = static_cast<std::size_t>(tensors_.end() - gone);
  for (auto tensor = gone; tensor != tensors_.end(); ++tensor)
    for (const std::size_t source : sources(*tensor)) dropped_.push_back(source);
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
  for (const Planned& tensor : tensors_)
    if (op.prefix.size() + tensor.spec.name.size() > kMaxNameBytes)
      throw too_much("the plan makes a name too long", kMaxNameBytes);
  add_name_bytes(op.prefix.size() * tensors_.size());
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
    if (op.to.size() > kMaxNameBytes) throw too_much("the plan makes a name too long", kMaxNameBytes);
    for (Planned& tensor : tensors_) {
      if (tensor.spec.name != op.from) continue;
      add_name_bytes(op.to.size());
      tensor.spec.name = op.to;
      ++count;
    }
    return count;
  }
  spend(kStepsOfExpression * tensors_.size());
  const NamePattern pattern(op.from);
  std::vector<std::optional<std::string>> renamed(
      tensors_.size());  // beside `tensors_`, so that a throw changes nothing
  std::uint64_t longer = 0;
  for (std::size_t i = 0; i < tensors_.size(); ++i) {
    renamed[i] = pattern.replaced(tensors_[i].spec.name, op.to);
    if (renamed[i] && renamed[i]->size() > tensors_[i].spec.name.size())
      longer += renamed[i]->size() - tensors_[i].spec.name.size();
  }
  add_name_bytes(longer);
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
