// ONNX: the tensors of a model, reader only. The messages are drawn in onnx.cpp.
#pragma once

#include <cstddef>
#include <memory>
#include <span>

#include "formats/core.hpp"

namespace tenon::formats {

/// True when the bytes begin as a ModelProto does: known fields of the right wire types up to a graph.
bool looks_like_onnx(std::span<const std::byte> bytes);

/// Throws Error: Corrupt (the byte, and the tensor where one is known), Limit (messages within messages, names),
/// Unsupported (an unknown element type), NotFound (a file of external data), Read.
std::shared_ptr<CheckpointCore> open_onnx(const OpenRequest& request);

}  // namespace tenon::formats
