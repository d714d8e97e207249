// The rules that speak where tensors bear other names, when the matcher knows where they come from.
#pragma once

#include "diagnose/rules.hpp"

namespace tenon::diagnosis {

std::optional<Finding> find_renamed_origins(const Case& facts);
std::optional<Finding> find_fused_origins(const Case& facts);
std::optional<Finding> find_relaid_origins(const Case& facts);
std::optional<Finding> find_shifted_origins(const Case& facts);

inline constexpr Rule kOriginRules[] = {
    {"renamed_modules", "the same tensors under other names", find_renamed_origins},
    {"fused_or_split", "one tensor here is several there", find_fused_origins},
    {"silent_wrong", "equal names that may mean other tensors", find_shifted_origins},
    {"layout_changed", "axes in another order, or of one element more or less", find_relaid_origins},
};

}  // namespace tenon::diagnosis
