#include "scan/preview.hpp"

#include <fmt/format.h>

#include "base/utf8.hpp"

namespace tenon::scanning {

namespace {

using container::NodeId;
using container::NodeKind;
using container::PickleTree;

constexpr std::size_t kLongest = 80;
constexpr int kDeepest = 4;

class Writer {
 public:
  explicit Writer(const PickleTree& tree) : tree_(tree) {}

  void write(NodeId node, int depth) {
    if (out_.size() > kLongest) return;
    if (node == container::kNoNode || depth > kDeepest) {
      out_ += "...";
      return;
    }
    switch (tree_.kind(node)) {
      case NodeKind::None: out_ += "None"; return;
      case NodeKind::Bool: out_ += tree_.boolean(node) ? "True" : "False"; return;
      case NodeKind::Integer: out_ += std::to_string(tree_.integer(node)); return;
      case NodeKind::BigInteger: out_ += "<large integer>"; return;
      case NodeKind::Decimal: out_ += tree_.bytes(node).substr(0, kLongest); return;
      case NodeKind::Real: out_ += fmt::format("{}", tree_.real(node)); return;
      case NodeKind::Text:
      case NodeKind::RawText: return quoted("'", node);
      case NodeKind::Bytes:
      case NodeKind::ByteArray: return quoted("b'", node);
      case NodeKind::List: return items("[", node, "]", depth);
      case NodeKind::Tuple: return items("(", node, ")", depth);
      case NodeKind::Dict: return items("{", node, "}", depth);
      case NodeKind::Set:
      case NodeKind::FrozenSet: return items("{", node, "}", depth);
      case NodeKind::Global:
        out_ += tree_.global(node).module;
        out_ += '.';
        out_ += tree_.global(node).name;
        return;
      case NodeKind::Call:
        write(tree_.call(node).function, depth + 1);
        return write(tree_.call(node).arguments, depth + 1);
      case NodeKind::Persistent: out_ += "<persistent>"; return;
    }
  }

  std::string take() { return preview(out_); }

 private:
  void quoted(std::string_view open, NodeId node) {
    out_ += open;
    out_ += tree_.bytes(node).substr(0, kLongest);
    out_ += "'";
  }

  void items(std::string_view open, NodeId node, std::string_view close, int depth) {
    out_ += open;
    const char* comma = "";
    for (const NodeId item : tree_.items(node)) {
      if (out_.size() > kLongest) return;
      out_ += comma;
      write(item, depth + 1);
      comma = ", ";
    }
    out_ += close;
  }

  const PickleTree& tree_;
  std::string out_;
};

}  // namespace

std::string preview(const PickleTree& tree, NodeId node) {
  Writer writer(tree);
  writer.write(node, 0);
  return writer.take();
}

std::string preview(std::string_view bytes) {
  constexpr std::string_view kCut = "...";
  std::string text = base::escape_for_terminal(bytes.substr(0, kLongest));
  if (text.size() <= kLongest && bytes.size() <= kLongest) return text;
  std::size_t end = std::min(text.size(), kLongest - kCut.size());
  while (end > 0 && (static_cast<unsigned char>(text[end]) & 0xC0) == 0x80) --end;  // not within a character
  text.resize(end);
  return text += kCut;
}

}  // namespace tenon::scanning
