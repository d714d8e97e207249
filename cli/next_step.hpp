// What to type where no plan helps: the last line of a report.
#pragma once

#include <string>

#include <tenon/diagnose.hpp>

#include "comparison.hpp"

namespace tenon::cli {

/// One command: the neighbour that fits, what decides between two causes, what the first cause's help says, or the page
/// on that cause. Names of files are those of `sides`, quoted for a shell.
std::string next_step(const Report& report, const Sides& sides);

}  // namespace tenon::cli
