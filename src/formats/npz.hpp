// NPZ: a zip archive of NPY arrays, reader and writer. The entries are drawn in npz.cpp.
#pragma once

#include <memory>

#include "container/zip_reader.hpp"
#include "formats/core.hpp"
#include "formats/writer.hpp"

namespace tenon::formats {

/// True when the archive's entries are NumPy arrays by name.
bool is_npz(const container::ZipReader& zip);

/// Throws Error: as read_npy_header() and ZipReader::read() do, with the entry's name.
std::shared_ptr<CheckpointCore> open_npz(const OpenRequest& request, const container::ZipReader& zip);

/// Stored entries in the snapshot's order, elements at multiples of 64.
/// Throws Error Refused: types that NumPy does not have (bfloat16, float8, packed ones), objects, names that would
/// leave the folder when the archive is unpacked, two tensors under one name.
Layout lay_out_npz(const WriteRequest& request);

}  // namespace tenon::formats
