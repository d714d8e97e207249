#include "scan/nested_pickles.hpp"

#include <algorithm>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/cursor.hpp"
#include "container/pickle_text.hpp"
#include "scan/content.hpp"
#include "scan/encodings.hpp"
#include "scan/pickle_scan.hpp"

namespace tenon::scanning {

namespace {

using container::kNoNode;
using container::NodeId;
using container::NodeKind;
using container::PickleCall;
using container::PickleTree;

bool is_string(NodeKind kind) {
  return kind == NodeKind::Text || kind == NodeKind::RawText || kind == NodeKind::Bytes || kind == NodeKind::ByteArray;
}

/// A text of protocol 0 that names something in its first lines: `cos\nsystem\n`.
bool begins_like_text_pickle(std::string_view text) {
  return text.size() > 4 && (text[0] == 'c' || text[0] == '(' || text[0] == 'S' || text[0] == 'V' || text[0] == 'i') &&
         text.find('\n') != std::string_view::npos && text.substr(0, 400).find('.') != std::string_view::npos;
}

class Nested {
 public:
  Nested(const PickleTree& tree, const Part& part, const ActsOnArguments& acts, Collector& out)
      : tree_(tree), part_(part), acts_(acts), out_(out), active_(tree.node_count(), false) {}

  void run() {
    for (NodeId node = 0; node < tree_.node_count(); ++node)
      if (tree_.kind(node) == NodeKind::Call && acts_(node)) mark(node);
    for (NodeId node = 0; node < tree_.node_count(); ++node)
      if (is_string(tree_.kind(node))) look_into(node);
  }

 private:
  /// Marks all that the call reaches, each node once.
  void mark(NodeId call) {
    std::vector<NodeId> open{call};
    const auto visit = [&](NodeId node) {
      if (node == kNoNode || active_[node]) return;
      active_[node] = true;
      open.push_back(node);
    };
    while (!open.empty()) {
      const NodeId node = open.back();
      open.pop_back();
      for (const NodeId item : tree_.items(node)) visit(item);
      if (tree_.kind(node) != NodeKind::Call) continue;
      const PickleCall& made = tree_.call(node);
      for (const NodeId next : {made.function, made.arguments, made.keywords, made.state}) visit(next);
      for (const NodeId item : tree_.items(made.items)) visit(item);
      for (const NodeId item : tree_.items(made.pairs)) visit(item);
    }
  }

  void look_into(NodeId node) {
    const std::string_view text = tree_.bytes(node);
    if (text.size() < 4) return;
    if (tree_.kind(node) == NodeKind::Text && text.starts_with("\xC2\x80")) {  // bytes as protocol 2 writes them
      if (const auto bytes = container::latin1_of_utf8(text)) scan_bytes(node, *bytes, "bytes");
    } else if (tree_.kind(node) == NodeKind::Text || begins_like_encoded_pickle(text)) {
      if (const auto bytes = decode_encoded_pickle(text)) return scan_bytes(node, *bytes, "encoded bytes");
      if (begins_like_text_pickle(text)) scan_bytes(node, text, "text");
    } else if (active_[node] || begins_like_pickle(text) || begins_like_text_pickle(text)) {
      scan_bytes(node, text, "bytes");
    }
  }

  void scan_bytes(NodeId node, std::string_view bytes, std::string_view kind) {
    const Part inner = part_.inside(base::as_bytes(bytes), std::string(kind) + " at byte " + std::to_string(part_.origin + tree_.at(node)));
    if (inner.depth > out_.limits().scan_depth) return out_.add_limit("pickles within pickles are nested too deeply", part_);
    if (active_[node]) return scan_content(inner, Place::Argument, out_);
    Collector separate = out_.separate();
    const bool is_pickle = scan_pickles(inner, begins_like_pickle(bytes) ? Start::Certain : Start::Likely, {}, separate);
    ScannedFile found = separate.take();
    // Damage in bytes that only look like a pickle says nothing; names do.
    std::erase_if(found.findings, [](const ScanFinding& f) { return f.verdict == ScanVerdict::Malformed || f.global.empty(); });
    if (!is_pickle || found.findings.empty()) return;
    for (ScanFinding& finding : found.findings) finding.why += "; it runs only if somebody unpickles these bytes";
    found.verdict = ScanVerdict::UnknownCode;
    found.unexplained.clear();
    out_.merge(std::move(found), ScanVerdict::UnknownCode);
  }

  const PickleTree& tree_;
  const Part& part_;
  const ActsOnArguments& acts_;
  Collector& out_;
  std::vector<bool> active_;  ///< beside the tree's nodes: an acting call gets it
};

}  // namespace

void scan_nested_pickles(const PickleTree& tree, const Part& part, const ActsOnArguments& acts, Collector& out) {
  Nested(tree, part, acts, out).run();
}

}  // namespace tenon::scanning
