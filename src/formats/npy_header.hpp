// The header of an NPY array, read and written. The bytes are drawn in npy_header.cpp.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <tenon/dtype.hpp>
#include <tenon/limits.hpp>
#include <tenon/tensor.hpp>

namespace tenon::formats {

inline constexpr std::string_view kNpyMagic = "\x93NUMPY";

/// What to call the bytes in messages.
struct NpyPlace {
  std::string file, member;
};

/// The elements of one name: a plain array has one field without a name, a structured array one for each of its leaves.
struct NpyField {
  struct Axis {
    std::int64_t extent = 0;
    std::uint64_t step_bytes = 0;
  };
  std::string name;  ///< fields within fields are joined with "."
  DType dtype = DType::UInt8;
  bool big_endian = false;
  std::uint64_t offset_bytes = 0;  ///< within one record
  std::vector<Axis> axes;          ///< of its own, below those of the array
  std::string type;  ///< what NumPy calls elements for which tenon has no name: `datetime64[ns]`, `void12`; else ""
};

struct NpyHeader {
  std::string version;           ///< "1.0"
  std::uint64_t data_begin = 0;  ///< bytes of magic, version, length and header
  std::vector<NpyField> fields;
  std::uint64_t item_bytes = 0;  ///< of one record
  Shape shape;
  bool fortran_order = false;
  bool holds_objects = false;  ///< behind the header stands a pickle instead of elements
};

/// Bytes up to the end of the header, as the first twelve bytes of a file claim it; 12 when fewer are given.
std::uint64_t npy_header_bytes(std::span<const std::byte> start);

/// Reads the header that `bytes` begin with; more may follow.
/// Throws Error: Corrupt (no magic, no literal, a wrong member, extents beyond 2^63), Limit (length, rank, depth),
/// Unsupported (a version or an element type that is not known).
NpyHeader read_npy_header(std::span<const std::byte> bytes, const NpyPlace& place, const Limits& limits);

/// NumPy's name of an element type, little-endian: `<f4`; "" for those that it does not have.
std::string_view npy_descr(DType dtype);

/// Magic, version 1.0 (2.0 where the shape is that long) and header of a dense row-major array. The elements begin at a
/// multiple of 64. Needs a type that npy_descr() names.
std::string npy_header(DType dtype, const Shape& shape);

}  // namespace tenon::formats
