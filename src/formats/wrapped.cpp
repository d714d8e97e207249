#include "formats/wrapped.hpp"

#include <algorithm>
#include <utility>

#include <tenon/save.hpp>

#include "base/text.hpp"
#include "base/utf8.hpp"
#include "container/inflate.hpp"
#include "container/tar_reader.hpp"
#include "formats/merge.hpp"
#include "formats/open.hpp"

namespace tenon::formats {

namespace {

std::string name_within(const std::string& path, std::string_view member) {
  return path + ": " + base::escape_for_terminal(member);
}

/// Null where the member is no checkpoint and does not call itself one.
std::shared_ptr<CheckpointCore> open_member(const OpenRequest& request, const Member& member, CheckpointCore& whole) {
  try {
    return open_core({member.file->path(), member.file, request.options, request.depth + 1});
  } catch (const Error& error) {
    if (!format_from_suffix(member.name)) return nullptr;
    if (whole.salvage == Salvage::No) throw;
    whole.warnings.push_back("left out: " + std::string(error.what()));
    return nullptr;
  }
}

bool can_unpack(const container::ZipEntry& entry) {
  return entry.unpacked_bytes > 0 && !entry.is_encrypted() &&
         (entry.method == container::kZipStored || entry.method == container::kZipDeflated);
}

Member member_of(const OpenRequest& request, const container::ZipReader& zip, const container::ZipEntry& entry) {
  const std::string name = name_within(request.path, entry.name);
  const auto archive = request.file->bytes();
  const std::uint64_t offset =
      container::zip_data_offset(archive, entry.header_offset, entry.packed_bytes, entry.name, zip.where(entry));
  if (entry.method == container::kZipStored)
    return {std::string(entry.name), io::MappedFile::part(request.file, offset, entry.packed_bytes, name)};
  std::vector<std::byte> bytes = container::inflate(archive.subspan(offset, entry.packed_bytes), entry.unpacked_bytes,
                                                    zip.where(entry), request.options.limits);
  return {std::string(entry.name), io::MappedFile::of_bytes(std::move(bytes), name)};
}

}  // namespace

std::shared_ptr<CheckpointCore> open_gzip(const OpenRequest& request) {
  std::vector<std::byte> bytes =
      container::gunzip(request.file->bytes(), {request.path, {}, {}, 0}, request.options.limits);
  const auto inner = io::MappedFile::of_bytes(std::move(bytes), request.path);
  auto core = open_core({request.path, inner, request.options, request.depth + 1});
  core->file_bytes = request.file->size();
  core->warnings.push_back("the file is packed with gzip: all of it was unpacked into memory");
  return core;
}

std::shared_ptr<CheckpointCore> open_members(const OpenRequest& request, Format format, std::vector<Member> members) {
  auto core = std::make_shared<CheckpointCore>();
  core->file = request.path;
  core->format = format;
  core->file_bytes = request.file->size();
  core->salvage = request.options.salvage;
  core->limits = request.options.limits;
  core->containers.push_back({.path = {}, .type = "dict", .key = {}});
  std::vector<std::string> read;
  for (const Member& member : members)
    if (auto part = open_member(request, member, *core)) {
      merge(*core, std::move(*part));
      read.push_back(base::escape_for_terminal(member.name));
    }
  if (read.empty()) return nullptr;
  if (read.size() > 1)
    core->warnings.push_back(base::plural(read.size(), "checkpoint") + " in this archive: " + base::join(read, ", "));
  return core;
}

std::shared_ptr<CheckpointCore> open_zip_of_checkpoints(const OpenRequest& request, const container::ZipReader& zip) {
  std::vector<Member> members;
  for (const container::ZipEntry& entry : zip.entries())
    if (can_unpack(entry)) members.push_back(member_of(request, zip, entry));
  return open_members(request, Format::Zip, std::move(members));
}

std::shared_ptr<CheckpointCore> open_tar_of_checkpoints(const OpenRequest& request) {
  std::vector<Member> members;
  for (const container::TarMember& entry :
       container::read_tar(request.file->bytes(), request.path, request.options.limits))
    if (entry.is_file && entry.bytes > 0)
      members.push_back({entry.name, io::MappedFile::part(request.file, entry.offset, entry.bytes,
                                                          name_within(request.path, entry.name))});
  if (auto core = open_members(request, Format::Tar, std::move(members))) return core;
  throw Error(Code::Unsupported, {request.path, {}, {}, {}}, "no member of this tar archive is a checkpoint", {}, {},
              "choose the archive that holds the weights");
}

}  // namespace tenon::formats
