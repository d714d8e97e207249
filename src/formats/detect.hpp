// What a file is, told by its content alone.
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <string_view>

#include <tenon/error.hpp>

#include "container/zip_reader.hpp"

namespace tenon::formats {

/// The formats that open() hands on to a reader.
enum class Known {
  Zip,
  TorchLegacy,
  TorchTar,
  Tar,
  Gzip,
  Safetensors,
  ShardIndex,
  Gguf,
  Npy,
  Onnx,
  Pickle,
  TorchSharp,
};

/// True for zip archives, also with bytes in front of them; never for a file that begins as another known format.
bool is_archive(std::span<const std::byte> bytes);

/// Decides on the first bytes. Throws Error that names what the file is instead: Corrupt (empty, zeros, a git-lfs
/// pointer, a web page, cut short), Unsupported (a format that tenon knows by name).
Known detect(std::span<const std::byte> bytes, const std::string& path);

/// An archive without PyTorch's data.pkl: throws Error Unsupported or Corrupt that names what it is.
[[noreturn]] void refuse_archive(const container::ZipReader& zip, const std::string& path);

}  // namespace tenon::formats
