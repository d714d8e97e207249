// What the fuzz targets of readers share: bytes become a file, a reader opens it, and all that it lists is read.
#pragma once

#include <sys/mman.h>
#include <unistd.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <utility>

#include <tenon/checkpoint.hpp>
#include <tenon/error.hpp>

#include "formats/core.hpp"

namespace tenon::fuzz {

/// A file in memory with a path, for readers that open paths.
class FileOfBytes {
 public:
  explicit FileOfBytes(std::span<const std::byte> bytes) : descriptor_(::memfd_create("fuzz", 0)) {
    for (std::size_t at = 0; at < bytes.size();) {
      const auto written = ::write(descriptor_, bytes.data() + at, bytes.size() - at);
      if (written <= 0) break;
      at += static_cast<std::size_t>(written);
    }
  }
  ~FileOfBytes() { ::close(descriptor_); }
  FileOfBytes(const FileOfBytes&) = delete;
  FileOfBytes& operator=(const FileOfBytes&) = delete;
  std::string path() const { return "/proc/self/fd/" + std::to_string(descriptor_); }

 private:
  int descriptor_;
};

/// Touches every byte that is listed, and computes what can be computed. An Error is an answer.
inline void read_all(const std::uint8_t* bytes, std::size_t size, formats::Reader reader) {
  constexpr std::uint64_t kMostElements = 1 << 20;
  const FileOfBytes file({reinterpret_cast<const std::byte*>(bytes), size});
  for (const Salvage salvage : {Salvage::No, Salvage::Yes}) {
    try {
      OpenOptions options;
      options.salvage = salvage;
      const Checkpoint checkpoint(reader({file.path(), io::MappedFile::open(file.path(), ReadMode::Map), options}));
      for (std::size_t i = 0; i < checkpoint.tensors().size(); ++i) {
        const TensorInfo& info = checkpoint.tensors()[i];
        if (info.storage == kNoStorage) continue;
        if (byte_size(info.shape, info.dtype) > kMostElements) continue;  // stride 0 repeats bytes without end
        const Tensor tensor = checkpoint.tensor(i);
        for_each_block(tensor, [](std::span<const std::byte>) {});
      }
    } catch (const Error&) {
    }
  }
}

}  // namespace tenon::fuzz
