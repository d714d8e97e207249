// read_listing: whatever names the tensors a model has, told apart by content, never by suffix.
#include <algorithm>
#include <string>

#include <tenon/listing.hpp>

#include "io/mapped_file.hpp"
#include "model/folder_listing.hpp"

namespace tenon {
namespace {

/// A blueprint begins with `{`. So can a safetensors file, whose first eight bytes are a length: that has zeros among
/// them.
bool looks_like_json(const io::MappedFile& file) {
  const auto bytes = file.bytes();
  std::size_t at = 0;
  while (at < bytes.size() && at < 64 &&
         (bytes[at] == std::byte{' '} || bytes[at] == std::byte{'\n'} || bytes[at] == std::byte{'\r'} ||
          bytes[at] == std::byte{'\t'}))
    ++at;
  if (at == bytes.size() || bytes[at] != std::byte{'{'}) return false;
  for (const std::byte byte : bytes.first(std::min<std::size_t>(bytes.size(), 16)))
    if (byte == std::byte{0}) return false;
  return true;
}

}  // namespace

Listing read_listing(const std::string& path, const OpenOptions& options) {
  if (io::path_kind(path) == io::PathKind::Folder && model::has_config(path)) return model::list_folder(path, options);
  if (io::path_kind(path) == io::PathKind::File && looks_like_json(*io::MappedFile::open(path, options.mode)))
    return read_blueprint(path, options.limits);
  return list(open(path, options));
}

}  // namespace tenon
