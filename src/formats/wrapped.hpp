// Checkpoints inside other files: a gzip file around one, an archive of several. Nothing is unpacked to the disk.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "container/zip_reader.hpp"
#include "formats/core.hpp"

namespace tenon::formats {

/// The file inside, unpacked into memory; a warning says so. Throws what gunzip() and the inner reader throw.
std::shared_ptr<CheckpointCore> open_gzip(const OpenRequest& request);

/// A file in an archive, whole.
struct Member {
  std::string name;
  std::shared_ptr<const io::MappedFile> file;
};

/// All members that are checkpoints, as one: names are those within the members, and may repeat. Null where no member
/// is one. What is called a checkpoint (`.pth`, `.safetensors`, ...) and cannot be read is an Error, with Salvage::Yes
/// a warning; other members are passed over.
std::shared_ptr<CheckpointCore> open_members(const OpenRequest& request, Format format, std::vector<Member> members);

/// The same for a zip archive. Stored members are read in place, deflated ones unpacked into memory.
std::shared_ptr<CheckpointCore> open_zip_of_checkpoints(const OpenRequest& request, const container::ZipReader& zip);

/// The same for a tar archive, read in place. Throws Error Unsupported where no member is a checkpoint.
std::shared_ptr<CheckpointCore> open_tar_of_checkpoints(const OpenRequest& request);

}  // namespace tenon::formats
