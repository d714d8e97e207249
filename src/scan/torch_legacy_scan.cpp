// PyTorch's stream format: pickles of a magic number, a version, the system, the object and the keys of its storages;
// then each storage's count and bytes. Raw bytes are passed over by what the object says of them.
// Source: torch/serialization.py, _legacy_save.
#include "scan/other_formats.hpp"

#include <algorithm>
#include <optional>
#include <string>
#include <unordered_map>
#include <utility>

#include "base/checked.hpp"
#include "base/cursor.hpp"
#include "base/text.hpp"
#include "formats/pickle_graph.hpp"
#include "formats/tensor_rebuild.hpp"
#include "formats/torch_legacy.hpp"
#include "scan/pickle_scan.hpp"

namespace tenon::scanning {

namespace {

using container::NodeId;
using container::NodeKind;
using container::PickleAttempt;
using container::PickleTree;
using formats::PickleGraph;

class Stream {
 public:
  Stream(const Part& part, Collector& out) : part_(part), out_(out) {}

  /// The file, and those that several torch.save() calls wrote behind it.
  void run() {
    while (at_ < part_.bytes.size()) {
      if (!read_file()) return;
      const auto rest = part_.bytes.subspan(at_);
      if (std::all_of(rest.begin(), rest.end(), [](std::byte b) { return b == std::byte{0}; })) return;
      if (!formats::looks_like_torch_legacy(rest)) return trailing();
    }
  }

 private:
  bool read_file() {
    for (int i = 0; i < 3; ++i)
      if (!pickle(PersistentIds::Unknown)) return false;
    auto object = pickle(PersistentIds::StoragesAndModules);
    if (!object) return false;
    auto keys = pickle(PersistentIds::Unknown);
    return keys && read_storages(object->tree, keys->tree);
  }

  std::optional<PickleAttempt> pickle(PersistentIds ids) {
    const Part rest = part_.from(at_);
    if (rest.bytes.empty()) {
      out_.add(ScanVerdict::Malformed, "legacy-malformed", rest, 0, "the file ends before its storages");
      return std::nullopt;
    }
    auto attempt = scan_one_pickle(rest, Start::Certain, {.ids = ids, .home = Home::Pickle, .storage_bytes = {}}, out_);
    if (attempt && attempt->complete()) {
      at_ += attempt->end_bytes;
      return attempt;
    }
    if (attempt) at_ += attempt->end_bytes;
    trailing();
    return std::nullopt;
  }

  bool read_storages(const PickleTree& object, const PickleTree& keys) {
    std::unordered_map<std::string, std::uint64_t> widths;
    const PickleGraph graph(object), list(keys);
    for (NodeId node = 0; node < object.node_count(); ++node) {
      if (object.kind(node) != NodeKind::Persistent) continue;
      try {
        if (const auto claim = formats::read_storage_claim(graph, node, Where{}))
          widths.try_emplace(std::string(claim->key), formats::storage_element_bytes(claim->dtype));
      } catch (const Error&) {  // told by the judge of the pickle
      }
    }
    if (!list.is_sequence(keys.root())) return malformed("the list of storages is no list");
    for (const NodeId key : list.sequence(keys.root())) {
      const auto width = widths.find(std::string(list.text(key)));
      if (width == widths.end()) return malformed("a storage is listed that no tensor names");
      if (!skip_storage(width->second)) return false;
    }
    return true;
  }

  bool skip_storage(std::uint64_t width) {
    base::Cursor in(part_.bytes.subspan(at_), {});
    if (in.remaining() < 8) return malformed("the file ends before its last storage");
    const auto bytes = base::checked_multiply(in.u64("count"), width);
    if (!bytes || *bytes > in.remaining()) return malformed("the file ends within a storage");
    at_ += 8 + *bytes;
    return true;
  }

  bool malformed(std::string why) {
    out_.add(ScanVerdict::Malformed, "legacy-malformed", part_, at_, std::move(why));
    trailing();
    return false;
  }

  void trailing() {
    const Part rest = part_.from(at_);
    if (rest.bytes.empty()) return;
    out_.add_unexplained(rest, 0, rest.bytes.size());
    out_.add(ScanVerdict::UnknownCode, "pickle-trailing-bytes", rest, 0,
             base::plural(rest.bytes.size(), "byte") + " that belong to nothing follow");
    if (!scan_pickles(rest, Start::Stray, {}, out_)) scan_strays(rest, out_);
  }

  const Part& part_;
  Collector& out_;
  std::uint64_t at_ = 0;
};

}  // namespace

void scan_torch_legacy(const Part& part, Collector& out) {
  out.name_format("PyTorch stream");
  Stream(part, out).run();
}

}  // namespace tenon::scanning
