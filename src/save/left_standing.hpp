// What stands beside an output after a save and could be taken for it.
#pragma once

#include <string>
#include <vector>

#include "io/fs.hpp"

namespace tenon::saving {

enum class OutputForm : std::uint8_t { OneFile, Shards };

/// Sentences for SaveReport::notes: a checkpoint of the other form under the same base name, which a save does not
/// touch; files that the index to be replaced names and that are no shards of `path`.
std::vector<std::string> left_standing(io::Fs& fs, const std::string& path, OutputForm form);

}  // namespace tenon::saving
