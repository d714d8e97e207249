// Names of temporary files: `.<name>.tenon-<boot>-<process>-<start>-<number>`. The name tells who writes, so that the
// next save in the folder can remove what a dead writer left and nothing else.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "io/fs.hpp"

namespace tenon::io {

/// What a temporary is for.
enum class Temporary : std::uint8_t {
  File,     ///< a file in the making
  Journal,  ///< what a save in several files is about to name: save/journal.hpp
};

/// A name in `folder` that no other writer uses, for the file that will be called `name`.
std::string temporary_path(Fs& fs, const std::string& folder, std::string_view name, Temporary kind);

/// The temporaries of `kind` in `folder` whose writers run no more: of another boot of the machine, or their process is
/// gone or another one; and nobody holds the lock on them. Left out wherever that cannot be told (a file system without
/// locks). Sorted by name.
std::vector<std::string> stale_temporaries(Fs& fs, const std::string& folder, Temporary kind);

}  // namespace tenon::io
