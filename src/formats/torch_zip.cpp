// PyTorch zip and its kin
//
//   R/data.pkl         the object; tensors are calls that name storages
//   R/data/<key>       one storage
//   R/byteorder        "little" | "big", missing means little
//   R/version          a number and a newline
//   R/constants.pkl    TorchScript and LibTorch archives only
//   R/code/*.py        the classes of such an archive: text, never run
//   R/tenon.digests    in archives that tenon wrote (formats/digests.hpp)
//
// Source: torch/serialization.py; caffe2/serialize/inline_container.cc and versions.h; torch/csrc/jit/serialization.
#include "formats/torch_zip.hpp"

#include <charconv>
#include <utility>
#include <vector>

#include "base/cursor.hpp"
#include "base/text.hpp"
#include "base/utf8.hpp"
#include "container/pickle_reader.hpp"
#include "formats/object_walk.hpp"
#include "formats/script_parts.hpp"
#include "formats/torch_zip_writer.hpp"
#include "formats/zip_digests.hpp"

namespace tenon::formats {

namespace {

using container::ZipEntry;
using container::ZipReader;

constexpr std::string_view kDataPickle = "data.pkl";
constexpr int kNewestVersion = 10;  // caffe2::serialize::kMaxSupportedFileFormatVersion of torch 1.13 and 2.x

class TorchArchive {
 public:
  TorchArchive(const OpenRequest& request, const ZipReader& zip) : request_(request), zip_(zip) {
    const std::string pickle = find_data_pickle(zip);
    root_ = pickle.substr(0, pickle.size() - kDataPickle.size());
    core_ = std::make_shared<CheckpointCore>();
    core_->file = request.path;
    core_->file_bytes = request.file->size();
    core_->files = {request.file};
    core_->salvage = request.options.salvage;
    core_->limits = request.options.limits;
    core_->warnings = zip.warnings();
    storages_.assign(zip.entries().size(), kNoStorage);
    core_->tensors.reserve(zip.entries().size());  // about one each, so that no row moves and no memory is left over
    core_->storages.reserve(zip.entries().size());
    core_->storage_bytes.reserve(zip.entries().size());
    if (root_.empty())
      core_->warnings.push_back("the archive's entries stand in no folder; PyTorch itself refuses such a file");
  }

  std::shared_ptr<CheckpointCore> open() {
    read_version();
    tell_format();
    read_digests();
    read_objects();
    core_->blueprint_json = text_of(kBlueprintRecord);
    if (core_->format == Format::TorchScript) {
      read_constants(zip_, root_, *core_);
      name_modules();
    }
    if (!zip_.has_checksums()) core_->warnings.push_back("the archive was written without checksums");
    return std::move(core_);
  }

 private:
  const ZipEntry* find(std::string_view name, std::string_view below = {}) const {
    wanted_.assign(root_).append(name).append(below);
    return zip_.find(wanted_);
  }

  std::string text_of(std::string_view name) const {
    const ZipEntry* entry = find(name);
    if (entry == nullptr) return {};
    std::vector<std::byte> unpacked;
    std::string text(base::as_text(zip_.read(*entry, unpacked)));
    while (!text.empty() && (text.back() == '\n' || text.back() == '\r' || text.back() == ' ')) text.pop_back();
    return text;
  }

  void read_version() {
    core_->format_version = text_of("version").substr(0, 20);
    int number = 0;
    const char* const begin = core_->format_version.data();
    std::from_chars(begin, begin + core_->format_version.size(), number);
    if (number > kNewestVersion)
      core_->warnings.push_back("the archive says version " + core_->format_version + "; PyTorch knows up to " +
                                std::to_string(kNewestVersion) + " and refuses it");
    if (find(".data/serialization_id") != nullptr) core_->producer = "PyTorch 2.1 or newer";
  }

  void tell_format() {
    if (find("constants.pkl") == nullptr) return;
    read_sources(zip_, root_, *core_);
    core_->format = has_method_bodies(*core_) ? Format::TorchScript : Format::LibtorchArchive;
    core_->producer = core_->format == Format::TorchScript ? "torch.jit.save" : "LibTorch torch::save";
  }

  /// Scripted modules are objects of classes that the archive itself defines; their parts are no state dicts of their
  /// own.
  void name_modules() {
    for (Container& container : core_->containers)
      if (container.kind == ContainerKind::Record && container.type.starts_with("__torch__."))
        container.kind = ContainerKind::Module;
  }

  void read_digests() {
    digests_ = zip_record_digests(request_.file, zip_, root_);
    if (!digests_) return;
    core_->add_digests(digests_);
    std::uint32_t row = 0;
    digest_rows_.assign(zip_.entries().size(), kNoRow);
    for (const ZipEntry* entry : data_records(zip_, root_)) digest_rows_[index_of(*entry)] = row++;
  }

  bool is_big_endian() const {
    const std::string order = text_of("byteorder");  // since 2.1; without it, little
    if (order.empty() || order == "little") return false;
    if (order == "big") return true;
    throw Error(Code::Corrupt, {request_.path, root_ + "byteorder", {}, {}},
                "the byte order of the storages is unknown", "little or big",
                base::escape_for_terminal(order.substr(0, 20)));
  }

  void read_objects() {
    const std::string member = root_ + std::string(kDataPickle);
    const ZipEntry& entry = *zip_.find(member);
    std::vector<std::byte> unpacked;  // outlives the tree below
    const auto stream = zip_.read(entry, unpacked);
    const auto tree = container::read_pickle({stream, request_.path, member, 0}, request_.options.limits);
    if (tree.stream_bytes() < stream.size())
      core_->warnings.push_back(base::plural(stream.size() - tree.stream_bytes(), "byte") + " follow the pickle in " +
                                member);
    PickleOrigin origin{member, 0, {}};
    if (unpacked.empty())
      origin.file_offset = static_cast<std::uint64_t>(stream.data() - request_.file->bytes().data());
    const PickleGraph graph(tree);
    const StorageFinder finder = [this](const StorageClaim& claim, const Spot& where) { return storage(claim, where); };
    walk_objects({graph, origin, finder, is_big_endian()}, *core_);
  }

  std::size_t index_of(const ZipEntry& entry) const { return static_cast<std::size_t>(&entry - zip_.entries().data()); }

  std::uint32_t storage(const StorageClaim& claim, const Spot& where) {
    if (claim.location == "meta") return kNoStorage;
    const ZipEntry& entry = entry_of(claim, where);
    std::uint32_t& known = storages_[index_of(entry)];
    if (known == kNoStorage) known = add_storage(claim, entry);
    const std::uint64_t recorded = core_->storages[known].nbytes;
    if (recorded < claim.bytes)
      throw Error(Code::Corrupt, where, "the storage is shorter than the tensor's pickle says",
                  base::plural(claim.bytes, "byte"),
                  base::plural(recorded, "byte") + " in " + core_->storages[known].member,
                  "the file is damaged: fetch or save it again");
    return known;
  }

  const ZipEntry& entry_of(const StorageClaim& claim, const Spot& where) const {
    const ZipEntry* entry = find("data/", claim.key);
    if (entry == nullptr) entry = find(claim.key);              // torch 1.4 to 1.6 archives name the record in full
    if (entry == nullptr) entry = find("tensors/", claim.key);  // and older ones put it here
    if (entry != nullptr) return *entry;
    const std::string key(claim.key);
    throw Error(Code::Corrupt, where, "the archive has no entry for the storage `" + key + "`", root_ + "data/" + key,
                {}, "the file is damaged or was re-packed without it: fetch or save it again");
  }

  std::uint32_t add_storage(const StorageClaim& claim, const ZipEntry& entry) {
    if (entry.is_encrypted())
      throw Error(Code::Unsupported, zip_.where(entry), "the archive entry is encrypted", {}, {},
                  "unpack it with its password first");
    if (entry.method != container::kZipStored && entry.method != container::kZipDeflated)
      throw Error(Code::Unsupported, zip_.where(entry), "the entry is packed by a method that tenon does not know",
                  "stored or deflated", "method " + std::to_string(entry.method));
    core_->storages.push_back(
        {std::string(claim.key), std::string(entry.name), entry.unpacked_bytes, std::string(claim.location)});
    StorageBytes& place = core_->storage_bytes.emplace_back();
    place.kind = entry.method == container::kZipStored ? StorageBytes::Kind::Mapped : StorageBytes::Kind::Deflated;
    place.offset = entry.header_offset;
    place.offset_is_of_zip_header = true;
    place.packed_bytes = entry.packed_bytes;
    if (zip_.has_checksums()) place.crc32 = entry.crc32;
    if (digests_ && digest_rows_[index_of(entry)] != kNoRow) place.digests = {digests_, digest_rows_[index_of(entry)]};
    return static_cast<std::uint32_t>(core_->storages.size() - 1);
  }

  const OpenRequest& request_;
  const ZipReader& zip_;
  std::string root_;
  std::shared_ptr<CheckpointCore> core_;
  std::vector<std::uint32_t> storages_;         ///< beside zip_.entries(): the storage made of each, or kNoStorage
  mutable std::string wanted_;                  ///< a name being looked up: one memory for all of them
  std::shared_ptr<const FileDigests> digests_;  ///< or null
  static constexpr std::uint32_t kNoRow = ~std::uint32_t{0};
  std::vector<std::uint32_t>
      digest_rows_;  ///< beside zip_.entries(), where there are digests: the row of each, or kNoRow
};

}  // namespace

std::string find_data_pickle(const ZipReader& zip) {
  if (zip.entries().empty()) return {};
  const std::string_view first = zip.entries().front().name;
  const std::string expected = std::string(first.substr(0, first.find('/') + 1)) + std::string(kDataPickle);
  if (zip.find(expected) != nullptr) return expected;
  for (const ZipEntry& entry : zip.entries())
    if (entry.name == kDataPickle || entry.name.ends_with("/data.pkl")) return std::string(entry.name);
  return {};
}

std::shared_ptr<CheckpointCore> open_torch_zip(const OpenRequest& request, const ZipReader& zip) {
  return TorchArchive(request, zip).open();
}

}  // namespace tenon::formats
