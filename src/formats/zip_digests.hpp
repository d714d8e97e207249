// Digests that stand in a zip archive: as a record of a PyTorch zip, in the comment of an NPZ.
#pragma once

#include <memory>
#include <string_view>
#include <vector>

#include "container/zip_reader.hpp"
#include "formats/digests.hpp"

namespace tenon::formats {

/// The records `<root>data/...` in the order of their bytes, which is the order of their rows.
std::vector<const container::ZipEntry*> data_records(const container::ZipReader& zip, std::string_view root);

/// Null where there is no record `<root>tenon.digests`. Touches no record but that.
std::shared_ptr<const FileDigests> zip_record_digests(const std::shared_ptr<const io::MappedFile>& file,
                                                      const container::ZipReader& zip, std::string_view root);

/// Null where the archive's comment is no text of digests.
std::shared_ptr<const FileDigests> zip_comment_digests(const std::shared_ptr<const io::MappedFile>& file,
                                                       const container::ZipReader& zip);

}  // namespace tenon::formats
