// Formats without pickles: their headers, and the few ways in which they name files or carry code.
#pragma once

#include <span>
#include <string_view>

#include "scan/collector.hpp"

namespace tenon::scanning {

void scan_safetensors(const Part& part, Collector& out);
void scan_gguf(const Part& part, Collector& out);

/// ModelProto: its first field is the version, and nodes, graph and operator sets follow.
bool looks_like_onnx(std::span<const std::byte> bytes);
void scan_onnx(const Part& part, Collector& out);

/// The signature at 0, 512, 1024, ...
bool looks_like_hdf5(std::span<const std::byte> bytes);
void scan_hdf5(const Part& part, Collector& out);

/// A map with text keys that ends where the bytes end.
bool is_whole_msgpack(std::span<const std::byte> bytes, const Limits& limits);

/// Also those from before POSIX, which only their checksum tells.
bool looks_like_any_tar(std::span<const std::byte> bytes);
void scan_tar(const Part& part, Collector& out);

/// PyTorch's first stream format: pickles, then raw storages.
void scan_torch_legacy(const Part& part, Collector& out);

}  // namespace tenon::scanning
