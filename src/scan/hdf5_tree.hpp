// The object tree of an HDF5 file as far as it decides what loading reads: attributes that are texts, and everything
// that leads to another file.
//
//   superblock (versions 0 to 3) -> root group -> object headers (versions 1 and 2), each a list of messages
//     symbol table   -> B-tree of version 1 -> nodes of symbols -> object headers
//     link           -> an object header, or a file and a path (external)
//     external files -> names in a local heap
//     layout         -> virtual datasets: names of files in the global heap
//     attribute      -> name, type, value: a text of fixed length, or a place in the global heap
//
// Links and attributes in dense storage (fractal heaps) are not followed there. The objects that such links lead to
// have headers of version 2, which are found by their signature and checksum wherever they stand.
//
// Source: HDF5 File Format Specification 3.0.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

#include "scan/collector.hpp"

namespace tenon::scanning {

/// What the walk meets. `at` is a byte of the part.
struct Hdf5Sights {
  std::function<void(std::string_view name, std::string_view value, std::uint64_t at)> text_attribute;
  std::function<void(std::string_view file, std::string_view how, std::uint64_t at)> other_file;
};

struct Hdf5Walk {
  std::uint64_t objects = 0;
  std::uint64_t broken = 0;        ///< objects that could not be read to their end
  bool overlaps = false;           ///< the walk was ended: its blocks have more bytes than the file
  std::uint64_t stated_bytes = 0;  ///< where the file ends, as it says, from its first byte on; 0 when it does not say
};

/// Walks the tree whose superblock stands at `begin`. Every block is read once, so that the work grows with the file's
/// size, whatever the addresses say. Never throws.
Hdf5Walk walk_hdf5(const Part& part, std::uint64_t begin, const Hdf5Sights& sights);

}  // namespace tenon::scanning
