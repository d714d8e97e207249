// joblib's pickles: the elements of an array stand in the stream, raw, behind the object that describes it.
//
//   | class NumpyArrayWrapper, (), NEWOBJ, {subclass, shape, order, dtype, ...}, BUILD | [padding] | elements | next
//   opcode |
//
// Padding is there where the description has `numpy_array_alignment_bytes` (joblib 1.2): one byte that counts how many
// follow it. Arrays of objects are pickles of their own in that place.
//
// Source: joblib, joblib/numpy_pickle.py, NumpyArrayWrapper.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

#include <tenon/limits.hpp>

#include "container/pickle_reader.hpp"

namespace tenon::formats {

/// For read_pickle() of `source`: how many bytes behind a BUILD are an array's elements. `limits` must outlive the
/// observer.
container::BuildObserver joblib_elements(const container::PickleSource& source, const Limits& limits);

/// What stands behind the BUILD of a NumpyArrayWrapper: a pickle of objects, or raw bytes.
struct JoblibElements {
  bool are_objects = false;
  std::uint64_t bytes = 0;  ///< with the padding; may be more than there are
};
/// `rest` begins behind the opcode. Nothing for any other object, or one whose size it does not tell.
std::optional<JoblibElements> joblib_elements_behind(const container::PickleTree& tree, container::NodeId object,
                                                     std::span<const std::byte> rest);

/// What a NumpyArrayWrapper describes; nothing for any other object.
struct JoblibArray {
  container::NodeId shape = container::kNoNode, dtype = container::kNoNode;
  bool fortran = false;
  bool is_padded = false;
};
std::optional<JoblibArray> joblib_array(const container::PickleTree& tree, container::NodeId object);

}  // namespace tenon::formats
