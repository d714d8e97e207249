#include "formats/script_parts.hpp"

#include <functional>
#include <map>
#include <memory>
#include <vector>

#include "base/cursor.hpp"
#include "base/text.hpp"
#include "container/pickle_reader.hpp"
#include "formats/object_walk.hpp"

namespace tenon::formats {
namespace {

using container::ZipEntry;
using container::ZipReader;

std::uint32_t add_constant(const ZipReader& zip, const std::string& root, const StorageClaim& claim, const Where& where,
                           CheckpointCore& constants) {
  if (claim.location == "meta") return kNoStorage;
  const std::string member = root + "constants/" + std::string(claim.key);
  const ZipEntry* entry = zip.find(member);
  if (entry == nullptr || entry->unpacked_bytes < claim.bytes || entry->is_encrypted())
    throw Error(Code::Corrupt, where, "a constant's storage is missing or too short", member);
  const bool is_stored = entry->method == container::kZipStored;
  if (!is_stored && entry->method != container::kZipDeflated)
    throw Error(Code::Unsupported, where, "a constant is packed by a method that tenon does not know");
  constants.storages.push_back({std::string(claim.key), member, entry->unpacked_bytes, std::string(claim.location)});
  StorageBytes& place = constants.storage_bytes.emplace_back();
  place.kind = is_stored ? StorageBytes::Kind::Mapped : StorageBytes::Kind::Deflated;
  place.offset = entry->header_offset;
  place.offset_is_of_zip_header = true;
  place.packed_bytes = entry->packed_bytes;
  if (zip.has_checksums()) place.crc32 = entry->crc32;
  return static_cast<std::uint32_t>(constants.storages.size() - 1);
}

/// Nothing is read of the constants' bytes: a frozen archive's are its weights.
std::shared_ptr<const CheckpointCore> constants_of(const ZipReader& zip, const ZipEntry& entry, const std::string& root,
                                                   const CheckpointCore& core) {
  auto constants = std::make_shared<CheckpointCore>();
  constants->file = core.file;
  constants->files = core.files;
  constants->limits = core.limits;
  std::vector<std::byte> unpacked;
  const auto stream = zip.read(entry, unpacked);
  const std::string member(entry.name);
  const auto tree = container::read_pickle({stream, core.file, member, 0}, core.limits);
  const PickleOrigin origin{member, 0, {}};
  const PickleGraph graph(tree);
  std::map<std::string, std::uint32_t, std::less<>> known;
  const StorageFinder finder = [&](const StorageClaim& claim, const Where& where) {
    const auto found = known.find(claim.key);
    if (found != known.end()) return found->second;
    const std::uint32_t added = add_constant(zip, root, claim, where, *constants);
    known.emplace(claim.key, added);
    return added;
  };
  walk_objects({graph, origin, finder, false}, *constants);
  return constants;
}

}  // namespace

bool has_method_bodies(const CheckpointCore& core) {
  for (const SourceFile& source : core.sources)
    if (source.text.find("def ") != std::string::npos) return true;
  return !core.script_problem.empty();  // as much code as that defines something
}

void read_sources(const ZipReader& zip, const std::string& root, CheckpointCore& core) {
  const std::string folder = root + "code/";
  std::uint64_t left = core.limits.script_source_bytes;
  for (const ZipEntry& entry : zip.entries()) {
    if (!entry.name.starts_with(folder) || !entry.name.ends_with(".py")) continue;
    if (entry.unpacked_bytes > left) {
      core.sources.clear();
      core.script_problem = "the archive's code is too long for limit script_source_bytes, " +
                            base::bytes_text(core.limits.script_source_bytes);
      return;
    }
    std::vector<std::byte> unpacked;
    const auto bytes = zip.read(entry, unpacked);
    core.sources.push_back({std::string(entry.name.substr(root.size())), std::string(base::as_text(bytes))});
    left -= bytes.size();
  }
}

void read_constants(const ZipReader& zip, const std::string& root, CheckpointCore& core) {
  const ZipEntry* entry = zip.find(root + "constants.pkl");
  if (entry == nullptr || entry->unpacked_bytes <= 4 || !core.script_problem.empty()) return;  // an empty tuple
  try {
    core.constants = constants_of(zip, *entry, root, core);
  } catch (const Error& error) {
    core.script_problem = "the archive's constants cannot be read: " + error.what_happened;
  }
}

}  // namespace tenon::formats
