// Notes: what a person should know of the values in the result.
#pragma once

#include <string>
#include <vector>

#include <tenon/plan.hpp>

#include "apply/values.hpp"

namespace tenon::apply_plan {

/// Which values new rows got, one note for each tensor that has some.
void note_rows(const Planned& planned, const std::string& name, const Values& values, std::vector<std::string>& notes);

/// Operations that move elements leave an optimizer's moments behind, unless their names are matched, too: those that
/// the result takes over as they are, and those that it leaves out.
void note_moments(const Plan& plan, const Rehearsal& rehearsal, const Listing& checkpoint,
                  std::vector<std::string>& notes);

}  // namespace tenon::apply_plan
