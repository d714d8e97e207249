// NPZ
//
//   NAME.npy   one array (npy_header.cpp), stored or deflated; NAME is the tensor's, and may hold `/` and `.`
//   ...
//
// Written: stored, no times, each entry's start and so its elements at a multiple of 64, so that a reader may map them.
// bfloat16 is refused on writing although ml_dtypes writes it as `<V2`: without that package NumPy reads two opaque
// bytes and says nothing.
// Source: numpy/lib/npyio.py, savez and NpzFile.
#include "formats/npz.hpp"

#include <algorithm>
#include <string_view>
#include <utility>

#include "base/checked.hpp"
#include "base/cursor.hpp"
#include "base/limit_error.hpp"
#include "base/text.hpp"
#include "base/utf8.hpp"
#include "container/inflate.hpp"
#include "container/zip_writer.hpp"
#include "formats/npy.hpp"
#include "formats/zip_digests.hpp"

namespace tenon::formats {

namespace {

using container::ZipEntry;
using container::ZipReader;

constexpr std::string_view kSuffix = ".npy";
constexpr std::uint64_t kFirstLook = 4'096;  // most headers are shorter

std::string key_of(const ZipEntry& entry) {
  std::string_view name = entry.name;
  if (name.ends_with(kSuffix)) name.remove_suffix(kSuffix.size());
  return std::string(name);
}

class NpzArchive {
 public:
  NpzArchive(const OpenRequest& request, const ZipReader& zip) : request_(request), zip_(zip) {
    core_ = std::make_shared<CheckpointCore>();
    core_->file = request.path;
    core_->format = Format::Npz;
    core_->file_bytes = request.file->size();
    core_->files = {request.file};
    core_->salvage = request.options.salvage;
    core_->limits = request.options.limits;
    core_->warnings = zip.warnings();
    core_->containers.push_back({.path = {}, .type = "dict", .parent = 0, .key = {}});
  }

  std::shared_ptr<CheckpointCore> open() {
    for (const ZipEntry& entry : zip_.entries()) {
      if (!entry.name.ends_with(kSuffix)) {
        core_->warnings.push_back("left out: " + std::string(entry.name) + ", which is no array");
        continue;
      }
      try {
        read_array(entry);
      } catch (const Error& error) {
        if (core_->salvage == Salvage::No) throw;
        core_->warnings.push_back(std::string("left out: ") + error.what());
      }
    }
    if (auto digests = zip_comment_digests(request_.file, zip_)) core_->add_digests(std::move(digests));
    if (!zip_.has_checksums()) core_->warnings.push_back("the archive was written without checksums");
    return std::move(core_);
  }

 private:
  void read_array(const ZipEntry& entry) {
    const NpyPlace place{request_.path, std::string(entry.name)};
    require_readable(entry);
    std::vector<std::byte> unpacked;
    const NpyHeader header = read_npy_header(start_of(entry, unpacked), place, core_->limits);
    if (header.data_begin > entry.unpacked_bytes)
      throw Error(Code::Corrupt, zip_.where(entry), "the entry is shorter than the header it begins with",
                  base::plural(header.data_begin, "byte"), base::plural(entry.unpacked_bytes, "byte"));
    if (core_->format_version.empty()) core_->format_version = header.version;
    if (header.holds_objects) return read_objects(entry, place, header);
    add_npy_array({header, place, add_storage(entry), entry.unpacked_bytes, key_of(entry)}, *core_);
  }

  void require_readable(const ZipEntry& entry) const {
    if (entry.is_encrypted())
      throw Error(Code::Unsupported, zip_.where(entry), "the archive entry is encrypted", {}, {},
                  "unpack it with its password first");
    if (entry.method != container::kZipStored && entry.method != container::kZipDeflated)
      throw Error(Code::Unsupported, zip_.where(entry), "the entry is packed by a method that tenon does not know",
                  "stored or deflated", "method " + std::to_string(entry.method));
  }

  /// At least the header of the entry; of a stored one all of it. Only as much is unpacked as the header needs.
  std::span<const std::byte> start_of(const ZipEntry& entry, std::vector<std::byte>& unpacked) const {
    const Where where = zip_.where(entry);
    const auto archive = request_.file->bytes();
    const std::uint64_t offset =
        container::zip_data_offset(archive, entry.header_offset, entry.packed_bytes, entry.name, where);
    const auto packed = archive.subspan(offset, entry.packed_bytes);
    if (entry.method == container::kZipStored) return packed;
    unpacked = container::inflate_start(packed, std::min(kFirstLook, entry.unpacked_bytes), where);
    const std::uint64_t wanted = std::min(npy_header_bytes(unpacked), core_->limits.npy_header_bytes + kFirstLook);
    if (wanted > unpacked.size())
      unpacked = container::inflate_start(packed, std::min(wanted, entry.unpacked_bytes), where);
    return unpacked;
  }

  std::uint32_t add_storage(const ZipEntry& entry) {
    core_->storages.push_back(
        {.id = {}, .member = std::string(entry.name), .nbytes = entry.unpacked_bytes, .device = {}});
    StorageBytes& bytes = core_->storage_bytes.emplace_back();
    bytes.kind = entry.method == container::kZipStored ? StorageBytes::Kind::Mapped : StorageBytes::Kind::Deflated;
    bytes.offset = entry.header_offset;
    bytes.offset_is_of_zip_header = true;
    bytes.packed_bytes = entry.packed_bytes;
    if (zip_.has_checksums()) bytes.crc32 = entry.crc32;
    return static_cast<std::uint32_t>(core_->storages.size() - 1);
  }

  /// The pickles of one archive share a limit: their elements are copied, and archives may hold many.
  void read_objects(const ZipEntry& entry, const NpyPlace& place, const NpyHeader& header) {
    const auto total = base::checked_add(object_bytes_, entry.unpacked_bytes);
    if (!total || *total > core_->limits.inflated_record_bytes)
      throw base::limit_error(zip_.where(entry), "the arrays of objects are too large together",
                              {&Limits::inflated_record_bytes, core_->limits}, base::bytes_text(entry.unpacked_bytes));
    object_bytes_ = *total;
    std::vector<std::byte> unpacked;
    const auto content = zip_.read(entry, unpacked);
    NpyObjects objects{content.subspan(header.data_begin), place, header.data_begin, {}, key_of(entry)};
    if (unpacked.empty())
      objects.file_offset = static_cast<std::uint64_t>(objects.pickle.data() - request_.file->bytes().data());
    add_npy_objects(objects, *core_);
  }

  const OpenRequest& request_;
  const ZipReader& zip_;
  std::shared_ptr<CheckpointCore> core_;
  std::uint64_t object_bytes_ = 0;
};

// ---- writing

/// A name that an unpacking program would put outside its folder, or cut short. A leading `/`, which ONNX names have,
/// is harmless: such programs take it off.
bool is_unsafe(std::string_view name) {
  if (!base::is_utf8(name) || name.find_first_of(std::string_view("\\\0", 2)) != std::string_view::npos) return true;
  if (name.size() > 2 && name.substr(1, 2) == ":/") return true;  // a drive; `x:0` is TensorFlow's
  for (std::size_t at = 0; at <= name.size();) {
    const std::size_t end = std::min(name.find('/', at), name.size());
    if (name.substr(at, end - at) == "..") return true;
    at = end + 1;
  }
  return false;
}

void refuse_what_cannot_be_held(const WriteRequest& request) {
  constexpr std::size_t kLongestName = 65'000;  // of the 65 535 bytes that a zip entry's name may have
  std::vector<std::string> types, names;
  for (const SnapshotTensor& tensor : request.snapshot.tensors) {
    if (npy_descr(tensor.dtype).empty())
      types.push_back(tensor.name + " (" + std::string(dtype_name(tensor.dtype)) + ")");
    if (is_unsafe(tensor.name) || tensor.name.size() > kLongestName)
      names.push_back(base::to_valid_utf8(tensor.name.substr(0, 200)));
  }
  refuse_if_any(request.file, types, "NumPy has no such element types",
                next_for_types(request.snapshot, "cast them (--dtype float32), or save as safetensors"));
  refuse_if_any(request.file, names,
                "an archive cannot hold tensors of these names: they lead out of its folder or "
                "are no text",
                "rename them by a plan");
  refuse_if_any(
      request.file, names_that_stand_twice(request.snapshot), "two tensors would be saved under one name",
      "rename one of them by a plan; a PyTorch zip (.pt) keeps them apart where they stand in different dicts");
}

/// The arrays' bytes have their CRC-32; the digest is of all between them. A comment disturbs no reader, a member that
/// is no array would.
DigestPlaces add_digest_comment(container::ZipWriter& zip) {
  const std::string head = std::string(kDigestsKey) + " ";
  DigestPlaces places{.block_bytes = kNoBlocks, .data = {}, .text = {}, .checksums = {}};
  places.text.bytes = digest_text_bytes(0, kNoBlocks);
  zip.set_comment(head + std::string(places.text.bytes, '\0'));
  for (const auto& place : zip.places()) places.data.push_back({place.content, place.nbytes});
  places.text.offset = zip.file_bytes() - places.text.bytes;
  return places;
}

std::string metadata_note(const Snapshot& snapshot) {
  if (!snapshot.blueprint_json.empty())
    return "the blueprint is left out: NPZ has no place for text (tenon blueprint writes it beside)";
  if (snapshot.metadata.empty()) return {};
  return base::plural(snapshot.metadata.size(), "text") + " of metadata left out: NPZ has no place for text";
}

}  // namespace

bool is_npz(const ZipReader& zip) {
  const auto entries = zip.entries();
  const auto is_array = [](const ZipEntry& entry) { return entry.name.ends_with(kSuffix); };
  const auto is_checkpoint = [](const ZipEntry& entry) {
    return entry.name.ends_with(".pth") || entry.name.ends_with(".pt") || entry.name.ends_with(".h5") ||
           entry.name.ends_with(".safetensors") || entry.name.ends_with(".pkl");
  };
  return std::any_of(entries.begin(), entries.end(), is_array) &&
         std::none_of(entries.begin(), entries.end(), is_checkpoint);
}

std::shared_ptr<CheckpointCore> open_npz(const OpenRequest& request, const ZipReader& zip) {
  return NpzArchive(request, zip).open();
}

Layout lay_out_npz(const WriteRequest& request) {
  refuse_what_cannot_be_held(request);
  Layout layout;
  const std::string dropped = leave_out_objects(request, objects_to_leave_out(request.snapshot), "NPZ");
  for (const std::string& note : {dropped, sharing_note(request.snapshot, "NPZ"), metadata_note(request.snapshot)})
    if (!note.empty()) layout.notes.push_back(note);
  auto zip = std::make_shared<container::ZipWriter>();
  for (const SnapshotTensor& tensor : request.snapshot.tensors) {
    const std::string header = npy_header(tensor.dtype, tensor.shape);
    const std::uint64_t nbytes = header.size() + byte_size(tensor.shape, tensor.dtype);
    zip->add(tensor.name + std::string(kSuffix), nbytes, [header, &tensor](const Sink& sink) {
      sink(base::as_bytes(header));
      write_tensor(tensor, sink);
    });
  }
  if (request.digests == Digests::Write) layout.digests = add_digest_comment(*zip);
  layout.file_bytes = zip->file_bytes();
  layout.write = [zip](const Sink& sink) { zip->write(sink); };
  return layout;
}

}  // namespace tenon::formats
