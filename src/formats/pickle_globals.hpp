// What the classes and functions that pickled checkpoints name mean to a reader: a table, never a look-up of code.
//
// Source: torch/_utils.py, torch/_tensor.py, torch/storage.py, torch/jit/_pickle.py (0.1 to 2.x),
// numpy/core/multiarray.py.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include <tenon/dtype.hpp>

namespace tenon::formats {

enum class Meaning : std::uint8_t {
  Unknown,  ///< any other class or function: an opaque record
  // torch tensors
  RebuildTensor,
  RebuildTensorV2,
  RebuildTensorV3,
  RebuildQuantized,
  RebuildMeta,
  RebuildParameter,
  RebuildFromType,
  RebuildFromNumpy,
  RebuildFromTensor,
  RebuildSparse,
  RebuildSparseCsr,
  RebuildNested,
  LoadFromBytes,   ///< a storage that torch pickled by itself, as a stream within the stream
  TensorClass,     ///< torch.FloatTensor ...: calls of it carry (storage, offset, size, stride) as state
  ParameterClass,  ///< torch.nn.Parameter
  Layout,
  // numpy
  NumpyReconstruct,
  NumpyFromBuffer,
  NumpyScalar,
  NumpyDType,
  JoblibArray,  ///< joblib's NumpyArrayWrapper: its elements stand behind it in the stream
  // Python
  Mapping,
  DefaultDict,  ///< dict and its kin
  Sequence,
  Set,
  FrozenSet,
  ByteString,     ///< bytes, bytearray
  Encode,         ///< _codecs.encode: how protocol 2 writes bytes
  Reconstructor,  ///< copyreg._reconstructor: the class is its first argument
  Transparent,    ///< its first argument is the value
};

/// Module and name as one, in Python 3's spelling: `builtins.set`, also where the file says `__builtin__`.
std::string canonical_name(std::string_view module, std::string_view name);

Meaning meaning_of(std::string_view canonical);

/// Element type of a storage class such as `torch.FloatStorage` or `torch.cuda.HalfStorage`; uint8 for the untyped
/// ones.
std::optional<DType> storage_dtype(std::string_view canonical);

/// Element type of a numpy type string without byte order: `f4`, `i8`, `b1`, `c16`.
std::optional<DType> numpy_dtype(std::string_view code);

}  // namespace tenon::formats
