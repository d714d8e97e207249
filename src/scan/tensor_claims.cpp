// Source: torch/serialization.py, persistent_load; torch/_utils.py, _rebuild_*; at::detail::computeStorageNbytes for
// the bytes that a view touches.
#include "scan/tensor_claims.hpp"

#include <optional>
#include <string>
#include <vector>

#include <tenon/dtype.hpp>

#include "base/checked.hpp"
#include "base/text.hpp"
#include "formats/pickle_graph.hpp"
#include "formats/tensor_rebuild.hpp"

namespace tenon::scanning {

namespace {

using container::kNoNode;
using container::NodeId;
using container::NodeKind;
using container::PickleTree;
using formats::Meaning;
using formats::PickleGraph;
using formats::StorageClaim;

class Claims {
 public:
  Claims(const PickleTree& tree, const Part& part, const PickleSetting& setting, Collector& out)
      : tree_(tree), graph_(tree), part_(part), setting_(setting), out_(out) {}

  void check() {
    for (NodeId node = 0; node < tree_.node_count(); ++node) {
      if (tree_.kind(node) == NodeKind::Persistent) check_persistent(node);
      if (tree_.kind(node) == NodeKind::Call) check_call(node);
    }
  }

 private:
  bool is_text(NodeId node) const {
    return tree_.kind(node) == NodeKind::Text || tree_.kind(node) == NodeKind::RawText ||
           tree_.kind(node) == NodeKind::Bytes;
  }

  void malformed(NodeId node, std::string why) {
    out_.add(ScanVerdict::Malformed, "tensor-claims", part_, tree_.at(node), std::move(why));
  }

  void check_persistent(NodeId node) {
    const NodeId id = tree_.persistent_id(node);
    const auto parts = tree_.tuple(id);
    const bool has_tag = !parts.empty() && is_text(parts[0]);
    if (has_tag && tree_.bytes(parts[0]) == "storage") return check_storage(node, parts);
    const bool is_module = has_tag && tree_.bytes(parts[0]) == "module";
    switch (setting_.ids) {
      case PersistentIds::Storages: return malformed(node, "the persistent id names no storage");
      case PersistentIds::StoragesAndModules:
        if (!is_module) malformed(node, "the persistent id names neither a storage nor a class");
        return;
      case PersistentIds::Numbers: return;  // keys of the archive's own tables, or classes, which are judged by name
      case PersistentIds::Unknown:
        out_.add(ScanVerdict::UnknownCode, "pickle-persistent-id", part_, tree_.at(node),
                 "a persistent id that only the loader can resolve");
    }
  }

  void check_storage(NodeId node, std::span<const NodeId> parts) {
    if (parts.size() < 5) return malformed(node, "the persistent id of a storage is too short");
    if (!is_text(parts[2]) || !is_text(parts[3])) return malformed(node, "the storage's key or device is no text");
    const auto found = claim(node);
    if (!found || !setting_.storage_bytes || found->location == "meta") return;
    const auto recorded = setting_.storage_bytes(found->key);
    if (!recorded)
      malformed(node, "the archive has no record for the storage `" + std::string(found->key) + "`");
    else if (*recorded < found->bytes)
      malformed(node, "the storage `" + std::string(found->key) + "` has " + base::plural(*recorded, "byte") +
                          " where the pickle says " + base::plural(found->bytes, "byte"));
  }

  /// A storage whose class is none of torch's is judged by its name; here only numbers count.
  std::optional<StorageClaim> claim(NodeId persistent) {
    try {
      return formats::read_storage_claim(graph_, persistent, Where{});
    } catch (const Error& error) {
      malformed(persistent, error.what_happened + (error.found.empty() ? "" : ": " + error.found));
      return std::nullopt;
    }
  }

  void check_call(NodeId node) {
    const Meaning meaning = graph_.meaning(node);
    const bool is_view = meaning == Meaning::RebuildTensor || meaning == Meaning::RebuildTensorV2 ||
                         meaning == Meaning::RebuildTensorV3 || meaning == Meaning::RebuildQuantized;
    if (!is_view) return;
    const auto arguments = tree_.tuple(tree_.call(node).arguments);
    if (arguments.size() < 4) return malformed(node, "a tensor is rebuilt with too few arguments");
    const NodeKind storage = tree_.kind(arguments[0]);
    if (storage == NodeKind::Call) return;  // a storage that another call makes, which is judged by name
    const bool must_be_storage =
        setting_.ids == PersistentIds::Storages || setting_.ids == PersistentIds::StoragesAndModules;
    if (storage != NodeKind::Persistent) {
      if (must_be_storage) malformed(node, "a tensor's first argument is no storage");
      return;
    }
    check_view(node, arguments, meaning);
  }

  void check_view(NodeId node, std::span<const NodeId> arguments, Meaning meaning) {
    const auto offset = count_at(arguments[1]);
    const auto size = counts_of(arguments[2]), stride = counts_of(arguments[3]);
    if (!offset || !size || !stride)
      return malformed(node, "a tensor's offset, size or stride is negative or no number");
    if (size->size() != stride->size()) return malformed(node, "a tensor's size and stride have different lengths");
    if (size->size() > out_.limits().tensor_rank)
      return out_.add_limit(ScanVerdict::Malformed, &Limits::tensor_rank, "the tensor has too many axes", part_,
                            tree_.at(node));
    const auto parts = tree_.tuple(tree_.persistent_id(arguments[0]));
    if (parts.size() < 5) return;  // complained of already
    std::optional<StorageClaim> storage;
    try {
      storage = formats::read_storage_claim(graph_, arguments[0], Where{});
    } catch (const Error&) {
      return;
    }
    if (!storage || storage->location == "meta") return;
    const std::uint64_t width = width_of(arguments, meaning, *storage);
    const auto last = last_element(*size, *stride);
    const auto elements = last ? base::checked_add(*last, *offset) : std::nullopt;
    const auto bytes = elements ? base::checked_multiply(*elements, width) : std::nullopt;
    if (last && *last == 0) return;  // no element, no byte
    const std::uint64_t room = storage->view_bytes;
    if (!bytes || *bytes > room)
      malformed(node, "a tensor reaches " + (bytes ? "to byte " + std::to_string(*bytes) : "beyond 64 bits") +
                          " of a storage of " + base::plural(room, "byte"));
  }

  std::uint64_t width_of(std::span<const NodeId> arguments, Meaning meaning, const StorageClaim& storage) const {
    std::optional<DType> dtype = storage.dtype;
    if (meaning == Meaning::RebuildTensorV3 && arguments.size() > 6 && tree_.kind(arguments[6]) == NodeKind::Global)
      dtype = parse_dtype(tree_.global(arguments[6]).name);
    if (!dtype || dtype_bits(*dtype) < 8) return 0;  // packed elements: their storage counts bytes
    return formats::storage_element_bytes(*dtype);
  }

  /// One more than the highest element that a view touches; 0 for an empty one; nothing beyond 64 bits.
  static std::optional<std::uint64_t> last_element(const std::vector<std::uint64_t>& size,
                                                   const std::vector<std::uint64_t>& stride) {
    std::optional<std::uint64_t> last = 0;
    for (const std::uint64_t extent : size)
      if (extent == 0) return 0;
    for (std::size_t i = 0; i < size.size() && last; ++i) {
      const auto step = base::checked_multiply(size[i] - 1, stride[i]);
      last = step ? base::checked_add(*last, *step) : std::nullopt;
    }
    return last ? base::checked_add(*last, 1) : std::nullopt;
  }

  std::optional<std::uint64_t> count_at(NodeId node) const {
    if (tree_.kind(node) != NodeKind::Integer || tree_.integer(node) < 0) return std::nullopt;
    return static_cast<std::uint64_t>(tree_.integer(node));
  }

  std::optional<std::vector<std::uint64_t>> counts_of(NodeId node) const {
    if (!graph_.is_sequence(node)) return std::nullopt;
    std::vector<std::uint64_t> counts;
    for (const NodeId item : graph_.sequence(node)) {
      const auto count = count_at(item);
      if (!count) return std::nullopt;
      counts.push_back(*count);
    }
    return counts;
  }

  const PickleTree& tree_;
  PickleGraph graph_;
  const Part& part_;
  const PickleSetting& setting_;
  Collector& out_;
};

}  // namespace

void check_tensor_claims(const PickleTree& tree, const Part& part, const PickleSetting& setting, Collector& out) {
  Claims(tree, part, setting, out).check();
}

}  // namespace tenon::scanning
