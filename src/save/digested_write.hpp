// Writing a layout and hashing it in the same pass.
#pragma once

#include <string>

#include "formats/writer.hpp"
#include "io/atomic_file.hpp"

namespace tenon::saving {

/// Writes all of the layout and, where it has places for digests, puts them there. Returns the file's own digest; ""
/// without digests.
std::string write_digested(const formats::Layout& layout, io::AtomicFile& file, const formats::Sink& written);

}  // namespace tenon::saving
