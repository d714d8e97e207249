// A probe for other runtimes, as a file that NumPy reads.
#pragma once

#include <string>

#include <tenon/blueprint.hpp>
#include <tenon/export.hpp>
#include <tenon/save.hpp>

namespace tenon {

/// Writes an NPZ archive: `input_0` and so on, whole, in their dtypes (bfloat16 as float32); for each output
/// `output_0_sample` (float64), `output_0_index` (int64, row-major places of the samples), `output_0_shape`,
/// `output_0_tolerance`: the largest deviation that is still the same function. `file` is for messages.
/// Throws Error: Invalid (no probe; an input of which only the digest was kept), Exists, Write.
TENON_API void emit_probe(const Blueprint& blueprint, const std::string& file, const std::string& path,
                          Existing existing = Existing::Refuse);

}  // namespace tenon
