// The precision report as JSON: what casts do to values, and layouts, which do nothing to them.
#pragma once

#include <vector>

#include <tenon/diagnose.hpp>
#include <tenon/tensor.hpp>

#include "render/json_value.hpp"

namespace tenon::rendering {

/// Rows of the contract's `dtype_changes`; what was not measured is null.
Json json_of(const std::vector<DTypeChange>& changes);

/// `{"key", "from", "to", "from_stride", "to_stride", "harmless": true}`.
Json json_of(const std::vector<LayoutChange>& changes);

}  // namespace tenon::rendering
