// Whether the model misses what a plan leaves out: judged tensor by tensor, told operation by operation.
#pragma once

#include <vector>

#include "diagnose/case.hpp"

namespace tenon::diagnosis {

/// As judge_drops(); of an error text (Knowledge::Partial) names alone are known.
std::vector<DropVerdict> drop_verdicts(const Plan& plan, const Listing& checkpoint, const Listing& target,
                                       Knowledge knowledge);

/// A drop that does harm is never done unasked: it becomes a guess.
void hold_back_harmful(Report& report);

}  // namespace tenon::diagnosis
