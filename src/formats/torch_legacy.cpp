// PyTorch legacy: five pickles, then the storages, nothing to find them by but the order.
//
//   | magic | 1001 | {protocol_version, little_endian, type_sizes} | object | [storage keys] | for each key: i64 count,
//   bytes |
//
// The width of a storage's elements stands only in the persistent ids of the object, so these are collected first.
// Source: torch/serialization.py, _legacy_save and _legacy_load.
#include "formats/torch_legacy.hpp"

#include <algorithm>
#include <unordered_map>
#include <utility>

#include "base/checked.hpp"
#include "base/cursor.hpp"
#include "base/moved_error.hpp"
#include "base/text.hpp"
#include "container/pickle_reader.hpp"
#include "formats/object_walk.hpp"

namespace tenon::formats {

namespace {

using container::PickleTree;

// LONG1 of ten bytes and BININT-free: how protocol 2 and later write 0x1950a86a20f9469cfc6c; protocols 0 and 1 write
// decimal text.
constexpr std::string_view kMagicBytes = "\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19.";
constexpr std::string_view kMagicText = "L119547037146038801333356L\n.";
constexpr std::int64_t kProtocolVersion = 1001;

class LegacyFile {
 public:
  explicit LegacyFile(const OpenRequest& request)
      : request_(request), in_(request.file->bytes(), request.path), core_(std::make_shared<CheckpointCore>()) {
    core_->file = request.path;
    core_->format = Format::PytorchLegacy;
    core_->format_version = std::to_string(kProtocolVersion);
    core_->file_bytes = request.file->size();
    core_->files = {request.file};
    core_->salvage = request.options.salvage;
    core_->limits = request.options.limits;
  }

  std::shared_ptr<CheckpointCore> open() {
    next_pickle();  // the magic number, which told us the format
    require_version(next_pickle());
    next_pickle();  // sizes of types on the writer's machine; storages are little-endian whatever it says
    const std::uint64_t object_at = in_.position();
    const PickleTree object = next_pickle();
    const PickleGraph graph(object);
    collect_claims(graph, object_at);
    const PickleTree keys = next_pickle();
    read_storages(PickleGraph(keys));
    if (!in_.at_end()) core_->warnings.push_back(base::plural(in_.remaining(), "byte") + " follow the last storage");
    const PickleOrigin origin{{}, object_at, object_at};
    const StorageFinder finder = [this](const StorageClaim& claim, const Where& where) {
      return storage(claim, where);
    };
    walk_objects({graph, origin, finder, false}, *core_);
    return std::move(core_);
  }

 private:
  PickleTree next_pickle() {
    PickleTree tree = container::read_pickle({in_.rest(), request_.path, {}, in_.position()}, request_.options.limits);
    in_.skip(tree.stream_bytes(), "a pickle");
    return tree;
  }

  void require_version(const PickleTree& tree) const {
    const auto root = tree.root();
    if (tree.kind(root) == container::NodeKind::Integer && tree.integer(root) == kProtocolVersion) return;
    throw in_.error(Code::Unsupported, "the file is of another protocol version", std::to_string(kProtocolVersion));
  }

  /// Width and size of every storage, from the persistent ids.
  void collect_claims(const PickleGraph& graph, std::uint64_t object_at) {
    const PickleTree& tree = graph.tree();
    for (container::NodeId node = 0; node < tree.node_count(); ++node) {
      if (tree.kind(node) != container::NodeKind::Persistent) continue;
      const Where where{request_.path, {}, {}, object_at + tree.at(node)};
      const auto claim = read_storage_claim(graph, node, where);
      if (claim) claims_.try_emplace(std::string(claim->key), *claim);
    }
  }

  void read_storages(const PickleGraph& keys) {
    const container::NodeId root = keys.tree().root();
    if (!keys.is_sequence(root)) throw in_.error(Code::Corrupt, "the list of storages is no list", "a list of keys");
    for (const container::NodeId node : keys.sequence(root)) read_storage(std::string(keys.text(node)));
  }

  void read_storage(const std::string& key) {
    const auto claim = claims_.find(key);
    if (claim == claims_.end())
      throw in_.error(Code::Corrupt, "a storage is listed that no tensor names", "the key of a storage in the object",
                      key);
    const auto width = storage_element_bytes(claim->second.dtype);
    const std::uint64_t at = in_.position();
    const auto bytes = base::checked_multiply(in_.u64("the element count of storage " + key), width);
    if (!bytes || *bytes > in_.remaining()) {
      if (core_->salvage == Salvage::No)
        throw in_.error_at(at, Code::Corrupt, "the file ends within storage " + key,
                           bytes ? base::plural(*bytes, "byte") : "a count below 2^63",
                           base::plural(in_.remaining(), "byte"),
                           "the file is cut short: fetch or save it again; --salvage reads what is whole");
      core_->warnings.push_back("the file ends within storage " + key);
      in_.seek(in_.position() + in_.remaining());
      return;
    }
    storages_[key] = static_cast<std::uint32_t>(core_->storages.size());
    core_->storages.push_back({key, {}, *bytes, std::string(claim->second.location)});
    StorageBytes& place = core_->storage_bytes.emplace_back();
    place.offset = in_.position();
    in_.skip(*bytes, "storage " + key);
  }

  std::uint32_t storage(const StorageClaim& claim, const Where& where) const {
    const auto known = storages_.find(std::string(claim.key));
    if (known == storages_.end())
      throw Error(Code::Corrupt, where, "the file has no bytes for the storage `" + std::string(claim.key) + "`", {},
                  {}, "the file is cut short or damaged: fetch or save it again");
    if (core_->storages[known->second].nbytes < claim.bytes)
      throw Error(Code::Corrupt, where, "the storage is shorter than the tensor's pickle says",
                  base::plural(claim.bytes, "byte"), base::plural(core_->storages[known->second].nbytes, "byte"),
                  "the file is damaged: fetch or save it again");
    return known->second;
  }

  const OpenRequest& request_;
  base::Cursor in_;
  std::shared_ptr<CheckpointCore> core_;
  std::unordered_map<std::string, StorageClaim>
      claims_;  ///< views of the object's pickle, which lives as long as open()
  std::unordered_map<std::string, std::uint32_t> storages_;
};

}  // namespace

bool looks_like_torch_legacy(std::span<const std::byte> bytes) {
  std::string_view text = base::as_text(bytes.first(std::min<std::size_t>(bytes.size(), 64)));
  if (text.size() > 2 && text[0] == '\x80') text.remove_prefix(2);
  if (text.size() > 9 && text[0] == '\x95') text.remove_prefix(9);  // FRAME of protocol 4
  return text.starts_with(kMagicBytes) || text.starts_with(kMagicText);
}

std::shared_ptr<CheckpointCore> open_torch_legacy(const OpenRequest& request) { return LegacyFile(request).open(); }

LegacyStorage read_legacy_storage(std::span<const std::byte> bytes, const Where& where, const Limits& limits) {
  constexpr int kObject = 3, kKeys = 4;  // magic number, version, system, then these
  base::Cursor in(bytes, where.file, where.member);
  const auto refuse = [&](std::string what) {
    return Error(Code::Corrupt, where, "the storage within the pickle: " + std::move(what), {}, {},
                 "the file is damaged: fetch or save it again");
  };
  if (!looks_like_torch_legacy(bytes)) throw refuse("it is no stream of torch.save");
  LegacyStorage found;
  try {
    for (int i = 0; i <= kKeys; ++i) {
      const PickleTree tree = container::read_pickle({in.rest(), where.file, where.member, 0}, limits);
      in.skip(tree.stream_bytes(), "a pickle");
      if (i != kObject) continue;
      const auto claim = read_storage_claim(PickleGraph(tree), tree.root(), where);
      if (!claim) throw refuse("its object is no storage");
      found.dtype = claim->dtype;
      found.location = claim->location;
    }
    const auto nbytes = base::checked_multiply(in.u64("the element count"), storage_element_bytes(found.dtype));
    if (!nbytes || *nbytes > in.remaining()) throw refuse("it is shorter than its count says");
    found.offset = in.position();
    found.nbytes = *nbytes;
  } catch (const Error& error) {
    throw base::moved_error(error, where);
  }
  return found;
}

}  // namespace tenon::formats
