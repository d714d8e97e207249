// DcpMetadata: what `.metadata` of a torch.distributed.checkpoint folder says, as plain data.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include <tenon/checkpoint.hpp>

#include "formats/core.hpp"

namespace tenon::formats {

/// Bytes [offset, offset + length) of a file in the folder: one complete output of torch.save.
struct DcpBlob {
  std::string file;
  std::uint64_t offset = 0, length = 0;
};

/// A box of a tensor's elements, and the blob that holds it.
struct DcpChunk {
  Shape offsets, sizes;
  DcpBlob blob;
};

struct DcpTensor {
  std::string name;
  DType dtype = DType::Float32;
  Shape shape;
  std::vector<DcpChunk> chunks;
};

/// A value that is no tensor, saved as a blob of its own.
struct DcpObject {
  std::string name;
  DcpBlob blob;
};

struct DcpMetadata {
  std::vector<DcpTensor> tensors;
  std::vector<DcpObject> objects;
  std::string version;  ///< of the format, where the file tells it
};

/// Reads the pickle. Every chunk lies within its tensor, and chunks neither overlap nor leave gaps.
/// Throws Error with the key and the byte: Corrupt, Limit, Unsupported.
DcpMetadata read_dcp_metadata(const OpenRequest& request);

}  // namespace tenon::formats
