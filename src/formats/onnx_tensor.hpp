// TensorProto: one tensor of an ONNX model, its elements in one of four places. Drawn in onnx_tensor.cpp.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include <tenon/dtype.hpp>
#include <tenon/limits.hpp>
#include <tenon/tensor.hpp>

#include "container/protobuf_wire.hpp"

namespace tenon::formats {

/// A message and where it is. `file` must outlive it.
struct OnnxMessage {
  std::span<const std::byte> bytes;
  std::uint64_t at = 0;  ///< of the first byte, in the file
  const std::string& file;
  const Limits& limits;

  container::WireReader reader() const { return {bytes, file, at, limits}; }
};

/// Elements stored outside of the model: which file, which bytes of it.
struct OnnxExternal {
  std::string location;
  std::uint64_t offset = 0;
  std::optional<std::uint64_t> length;
};

struct OnnxTensor {
  enum class Home : std::uint8_t {
    Nowhere,   ///< no elements, or text, which is listed without
    Plain,     ///< `bytes` are the elements
    Encoded,   ///< decode_onnx(bytes) are the elements
    External,  ///< in another file, as raw as in Plain
  };
  std::string name;
  DType dtype = DType::Float32;
  Shape shape;
  Home home = Home::Nowhere;
  std::span<const std::byte> bytes;  ///< Plain, Encoded
  std::uint64_t bytes_at = 0;        ///< in the file
  std::uint64_t raw_bytes = 0;       ///< what the elements take in raw form: of External
  OnnxExternal external;
  int code = 0;            ///< of the element type, as decode_onnx() wants it
  int encoded_field = -1;  ///< Encoded: number of the typed field; 0 for packed raw elements

  std::uint64_t nbytes() const { return byte_size(shape, dtype); }
};

/// Reads one tensor and checks that its elements are as many as its shape says.
/// Throws Error: Corrupt (with the tensor's name and the byte), Limit (rank), Unsupported (segments, an unknown type).
OnnxTensor read_onnx_tensor(const OnnxMessage& message);

/// True when raw elements of this type must be unpacked: two or four of them stand in one byte.
bool is_packed_onnx(int code);

/// The elements, dense and little-endian, out of a TensorProto (`encoded_field` > 0) or out of packed raw bytes (0).
/// What read_onnx_tensor() accepted cannot fail.
std::vector<std::byte> decode_onnx(std::span<const std::byte> bytes, int code, int encoded_field,
                                   std::uint64_t element_count);

}  // namespace tenon::formats
