// Repairs that compute values: what the doctor proposes where moving tensors is not enough. All of them are `lossy`, or
// a `guess` where the evidence leaves a choice; none is done unasked.
#pragma once

#include <string_view>
#include <vector>

#include "diagnose/rules.hpp"

namespace tenon::diagnosis {

// Rules on several tensors that become one. They come before the matcher, which would take a part for the whole: a
// `weight_v` has the shape of the weight, and a norm's bias that of the convolution's.
std::optional<Finding> find_folded_weight_norm(const Case& facts);
std::optional<Finding> find_folded_batch_norm(const Case& facts);
std::optional<Finding> find_merged_adapter(const Case& facts);

inline constexpr Rule kPartRules[] = {
    {"version_drift", "weight norm in two parts, and one plain weight in the model", find_folded_weight_norm},
    {"fused_or_split", "a batch norm that the model has folded into its convolution", find_folded_batch_norm},
    {"adapter_weights", "an adapter that the model has merged", find_merged_adapter},
};

/// An output layer that was the embedding. Asked behind the matcher: only then is it known that nothing else fits.
std::optional<Finding> find_lost_tie(const Case& facts);
inline constexpr Rule kLostTie{"tied_or_shared", "an output layer that was the embedding", find_lost_tie};

/// Operations for a finding of rule `id` about shapes (positions, rows of a table, channels of the input); empty where
/// the arithmetic does not decide, or only a text is known.
std::vector<Op> repair_of(std::string_view id, const Case& facts, const Finding& finding);

}  // namespace tenon::diagnosis
