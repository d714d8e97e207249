// Other files beside a checkpoint that would fit the model: the library opens what it is given, and looks at no folder.
#pragma once

#include <string>
#include <vector>

#include <tenon/diagnose.hpp>
#include <tenon/listing.hpp>

namespace tenon::cli {

/// Looks round the folder of `file` where the report says that it is not the model's file: most of the target stays
/// open after the plan. `checkpoint` is null where the file could not be read.
///
/// Regular files only, no links, of each its metadata; names and shapes are compared, no value is read. What cannot be
/// opened is passed over. At most kMostFiles files are opened and kMostPlans of them tried; at most three are named.
void name_neighbours(const std::string& file, const std::string& target_file, const Listing& target, Report& report);

}  // namespace tenon::cli
