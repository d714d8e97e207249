// Coverage: which share of the model the plan really fills.
#pragma once

#include "diagnose/case.hpp"

namespace tenon::diagnosis {

/// Shares of tensors and of parameters, over all and by subtree: those of the first level, and within one that is
/// filled in part its own, down to where the gap is. A row stands before the rows within it.
Coverage coverage_of(const Case& facts);

}  // namespace tenon::diagnosis
