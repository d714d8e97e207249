// State: the tensors of a checkpoint on their way through a plan: names, shapes and dtypes, no values.
//
// rehearse() runs a whole plan on it; the engine of diagnose/ runs one operation at a time and looks at the difference
// after each. Operations on names stand in state.cpp, those on one tensor each in state_tensors.cpp, those that take
// tensors apart or put them together in state_parts.cpp.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include <tenon/listing.hpp>
#include <tenon/plan.hpp>

#include "plan/recipes.hpp"

namespace tenon::plan {

/// The longest regular expression and the longest name that one is tried on: matching is polynomial in both.
inline constexpr std::size_t kMaxPatternBytes = 1'024;
inline constexpr std::size_t kMaxMatchedNameBytes = 4'096;

class State {
 public:
  explicit State(const Listing& checkpoint);

  /// Carries out one operation; returns how many tensors it touched. Throws Error: Invalid (bad pattern; the operation
  /// does not fit a tensor's shape or dtype), Limit (see plan/limits.hpp), Unsupported (a dtype that cannot be computed
  /// with). The tensors are unchanged when it throws.
  std::size_t run(const Op& op);

  const std::vector<Planned>& tensors() const { return tensors_; }
  /// Indexes into the listing, of tensors that left their places; others may still be made of them.
  const std::vector<std::size_t>& dropped() const { return dropped_; }
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
  std::size_t operate(const Transpose& op);
  std::size_t operate(const Reshape& op);
  std::size_t operate(const Reorder& op);
  std::size_t operate(const Split& op);
  std::size_t operate(const Fuse& op);
  std::size_t operate(const Tie& op);
  std::size_t operate(const Resize& op);
  std::size_t operate(const ResizeRows& op);
  std::size_t operate(const MergeLora& op);
  std::size_t operate(const Dequantize& op);
  std::size_t operate(const InflateChannels& op);
  std::size_t operate(const FoldBatchNorm& op);
  std::size_t operate(const FoldWeightNorm& op);
  std::size_t operate(const UnfoldWeightNorm& op);

  std::size_t drop_where(const std::function<bool(const TensorSpec&)>& condition);

  /// Gives every tensor that matches the glob a new recipe.
  using Remake = std::function<Recipe(const Recipes& recipes, const Recipe& input)>;
  std::size_t remake(const std::string& pattern, const Remake& make);

  /// Tensors that take the place of others: each new one stands where `at` stood; all that are named in `gone` leave.
  struct Replacement {
    std::size_t at = 0;
    std::vector<std::size_t> gone;
    std::vector<Planned> made;
  };
  std::size_t replace(std::vector<Replacement> replacements);

  /// Positions of tensors by name; of two that bear one name, the last.
  using ByName = std::unordered_map<std::string_view, std::size_t>;
  ByName by_name() const;

  Recipes recipes_for(const std::string& name) const { return {name, most_bytes_}; }
  Planned planned_as(std::string name, std::size_t like, Recipe recipe) const;

  void spend(std::uint64_t steps);           ///< throws Limit when the plan works too long
  void add_name_bytes(std::uint64_t bytes);  ///< throws Limit when all names together grow too long

  std::vector<Planned> tensors_;
  std::vector<std::size_t> dropped_;
  std::vector<std::string> kept_patterns_;
  std::string unwrapped_;
  Applicability applicability_ = Applicability::Exact;  ///< of the operation that runs
  std::uint64_t most_bytes_ = 0;                        ///< of a computed tensor
  std::uint64_t steps_ = 0, name_bytes_ = 0;            ///< spent so far
};

}  // namespace tenon::plan
