// NPY: one array of NumPy's in a file of its own. The bytes are drawn in npy_header.cpp.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>

#include "formats/core.hpp"
#include "formats/npy_header.hpp"

namespace tenon::formats {

/// Throws Error: Corrupt, Limit, Unsupported, as read_npy_header() does; Corrupt when the elements are fewer than the
/// shape says.
std::shared_ptr<CheckpointCore> open_npy(const OpenRequest& request);

/// An array whose header was read and whose bytes, header included, are storage `storage` of the core.
struct NpyArray {
  const NpyHeader& header;
  NpyPlace place;
  std::uint32_t storage = kNoStorage;
  std::uint64_t nbytes = 0;        ///< header and what follows it
  std::optional<std::string> key;  ///< below container 0; without one it is the top, which is made here
};

/// Adds a row for the array, or one for each field of a structured array. Text and dates are listed, too: text without
/// bytes, dates as the 64-bit integers that they are. Throws Error Corrupt when the elements are too few.
void add_npy_array(const NpyArray& array, CheckpointCore& core);

/// An array of objects: `pickle` follows the header. It is read by the machine that cannot call, and what it holds is
/// listed.
struct NpyObjects {
  std::span<const std::byte> pickle;
  NpyPlace place;
  std::uint64_t byte = 0;                    ///< of the pickle in the member or file
  std::optional<std::uint64_t> file_offset;  ///< of the pickle in the core's first file; nothing when it was unpacked
  std::optional<std::string> key;
};
void add_npy_objects(const NpyObjects& objects, CheckpointCore& core);

}  // namespace tenon::formats
