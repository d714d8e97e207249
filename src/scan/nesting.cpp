#include "scan/nesting.hpp"

#include <utility>
#include <vector>

namespace tenon::scanning {

using container::kNoNode;
using container::NodeId;
using container::NodeKind;
using container::PickleTree;

NodeId nested_deeper_than(const PickleTree& tree, std::uint64_t depth) {
  if (tree.node_count() <= depth || tree.root() == kNoNode) return kNoNode;
  std::vector<bool> seen(tree.node_count(), false);
  std::vector<std::pair<NodeId, std::uint64_t>> open{{tree.root(), 0}};
  const auto visit = [&](NodeId node, std::uint64_t level) {
    if (node == kNoNode || seen[node]) return;
    seen[node] = true;
    open.emplace_back(node, level);
  };
  while (!open.empty()) {
    const auto [node, level] = open.back();
    open.pop_back();
    if (level > depth) return node;
    for (const NodeId item : tree.items(node)) visit(item, level + 1);
    if (tree.kind(node) != NodeKind::Call) continue;
    const auto& call = tree.call(node);
    for (const NodeId part : {call.function, call.arguments, call.keywords, call.state}) visit(part, level + 1);
    for (const NodeId item : tree.items(call.items)) visit(item, level + 1);
    for (const NodeId item : tree.items(call.pairs)) visit(item, level + 1);
  }
  return kNoNode;
}

}  // namespace tenon::scanning
