// save() over any Fs: what the tests of faults call.
#pragma once

#include <string>

#include <tenon/save.hpp>

#include "io/fs.hpp"

namespace tenon::saving {

/// tenon::save(), every file operation through `fs`. Throws as it does.
SaveReport save_through(io::Fs& fs, const Snapshot& snapshot, const std::string& path, const SaveOptions& options);

}  // namespace tenon::saving
