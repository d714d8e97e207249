// State: the tensors of a checkpoint on their way through a plan: names, shapes and dtypes, no values.
//
// rehearse() runs a whole plan on it; the engine of diagnose/ runs one operation at a time and looks at the difference
// after each.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include <tenon/listing.hpp>
#include <tenon/plan.hpp>

namespace tenon::plan {

/// The longest regular expression and the longest name that one is tried on: matching is polynomial in both.
inline constexpr std::size_t kMaxPatternBytes = 1'024;
inline constexpr std::size_t kMaxMatchedNameBytes = 4'096;

class State {
 public:
  explicit State(const Listing& checkpoint);

  /// Carries out one operation; returns how many tensors it touched. Throws Error Invalid (bad pattern), Limit (a name
  /// too long for a regular expression). The state is unchanged when it throws.
  std::size_t run(const Op& op);

  const std::vector<Planned>& tensors() const { return tensors_; }
  const std::vector<std::size_t>& dropped() const { return dropped_; }  ///< indexes into the listing
  const std::vector<std::string>& kept_patterns() const { return kept_patterns_; }

  const std::string& unwrapped() const {
    return unwrapped_;
  }  ///< path of the state dict that Unwrap took out; "" if none

  /// Whether a KeepTarget of the plan covers this name.
  bool keeps_target(std::string_view name) const;

  /// A name that two tensors bear, or nothing.
  std::optional<std::string> collision() const;

 private:
  std::size_t operate(const StripPrefix& op);
  std::size_t operate(const AddPrefix& op);
  std::size_t operate(const Unwrap& op);
  std::size_t operate(const Rename& op);
  std::size_t operate(const Drop& op);
  std::size_t operate(const KeepTarget& op);
  std::size_t operate(const Cast& op);
  template <class Condition>
  std::size_t drop_where(Condition condition);

  std::vector<Planned> tensors_;
  std::vector<std::size_t> dropped_;
  std::vector<std::string> kept_patterns_;
  std::string unwrapped_;
};

}  // namespace tenon::plan
