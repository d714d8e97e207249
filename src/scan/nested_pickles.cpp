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
      : tree_(tree), part_(part), acts_(acts), out_(out), active_(tree.node_count(), Acts::No) {}

  void run() {
    for (NodeId node = 0; node < tree_.node_count(); ++node)
      if (tree_.kind(node) == NodeKind::Call) mark(node, acts_(node));
    for (NodeId node = 0; node < tree_.node_count(); ++node)
      if (is_string(tree_.kind(node))) look_into(node);
  }

 private:
  /// Marks all that the call reaches, each node once.
  void mark(NodeId call, Acts acts) {
    if (acts == Acts::No) return;
    std::vector<NodeId> open{call};
    const auto visit = [&](NodeId node) {
      if (node == kNoNode || active_[node] >= acts) return;
      active_[node] = acts;
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
    } else if (active_[node] != Acts::No || begins_like_pickle(text) || begins_like_text_pickle(text)) {
      scan_bytes(node, text, "bytes");
    }
  }

  void scan_bytes(NodeId node, std::string_view bytes, std::string_view kind) {
    const Part inner = part_.inside(base::as_bytes(bytes),
                                    std::string(kind) + " at byte " + std::to_string(part_.origin + tree_.at(node)));
    if (inner.depth > out_.limits().scan_depth)
      return out_.add_limit(ScanVerdict::Malformed, &Limits::scan_depth, "pickles within pickles are nested too deeply",
                            part_);
    if (active_[node] == Acts::Unpickles) return scan_content(inner, Place::File, out_);
    Collector separate = out_.separate();
    if (active_[node] == Acts::Maybe) {
      scan_content(inner, Place::Argument, separate);
      return merge_names(separate.take(), ScanVerdict::Dangerous);
    }
    const bool is_pickle =
        scan_pickles(inner, begins_like_pickle(bytes) ? Start::Certain : Start::Likely, {}, separate);
    if (!is_pickle) return;
    ScannedFile found = separate.take();
    for (ScanFinding& finding : found.findings) finding.why += "; it runs only if somebody unpickles these bytes";
    merge_names(std::move(found), ScanVerdict::UnknownCode);
  }

  /// Damage in bytes that may only look like a format says nothing; names do.
  void merge_names(ScannedFile found, ScanVerdict worst) {
    std::erase_if(found.findings, [](const ScanFinding& f) {
      if (f.rule == "scan-limit" || f.verdict == ScanVerdict::Dangerous) return false;
      return f.verdict == ScanVerdict::Malformed || f.global.empty();
    });
    if (found.findings.empty()) return;
    found.verdict = ScanVerdict::Safe;  // the findings that are left say it
    found.unexplained.clear();
    found.notes.clear();
    out_.merge(std::move(found), worst);
  }

  const PickleTree& tree_;
  const Part& part_;
  const ActsOnArguments& acts_;
  Collector& out_;
  std::vector<Acts> active_;  ///< beside the tree's nodes: the worst of what the calls that get it do
};

}  // namespace

void scan_nested_pickles(const PickleTree& tree, const Part& part, const ActsOnArguments& acts, Collector& out) {
  Nested(tree, part, acts, out).run();
}

}  // namespace tenon::scanning
