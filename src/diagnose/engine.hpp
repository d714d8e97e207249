// The engine: asks the rules in order, tries what they propose, keeps what helps.
#pragma once

#include <tenon/diagnose.hpp>

#include "diagnose/case.hpp"

namespace tenon::diagnosis {

/// Fills in causes, plan, balance, mapping and coverage of a report whose case stands at the start (no operation run
/// yet). Afterwards the case stands where the plan leads.
void solve(Case& facts, Report& report);

/// The difference of a gap in the report's form: names as they stand in the state.
Difference difference_of(const Case& facts);

}  // namespace tenon::diagnosis
