#include "scan/storage_paths.hpp"

#include <algorithm>
#include <string>
#include <string_view>

#include "formats/pickle_graph.hpp"
#include "scan/preview.hpp"
#include "scan/side_files.hpp"

namespace tenon::scanning {

namespace {

using container::kNoNode;
using container::NodeId;
using container::NodeKind;
using container::PickleGlobal;
using container::PickleTree;

bool is_storage_info(const PickleGlobal& global) {
  return global.name == "_StorageInfo" && global.module.starts_with("torch.distributed.checkpoint");
}

class StoragePaths {
 public:
  StoragePaths(const PickleTree& tree, const Part& part, Collector& out)
      : tree_(tree), graph_(tree), part_(part), out_(out) {}

  void run() {
    for (NodeId node = 0; node < tree_.node_count(); ++node) {
      if (tree_.kind(node) != NodeKind::Call) continue;
      const container::PickleCall& call = tree_.call(node);
      if (call.function == kNoNode || tree_.kind(call.function) != NodeKind::Global) continue;
      if (is_storage_info(tree_.global(call.function))) look_at(call);
    }
  }

 private:
  /// A dataclass: made without arguments and given its state, or called with them in the order of its fields.
  void look_at(const container::PickleCall& call) {
    if (call.state != kNoNode && graph_.is_mapping(call.state))
      for (const auto& [key, value] : graph_.pairs(call.state))
        if (graph_.text(key) == "relative_path") judge(value);
    if (call.arguments != kNoNode && tree_.kind(call.arguments) == NodeKind::Tuple)
      if (const auto arguments = tree_.tuple(call.arguments); !arguments.empty()) judge(arguments[0]);
  }

  void judge(NodeId value) {
    const std::string_view path = graph_.text(graph_.see_through(value));
    if (path.empty() || judge_side_path(path) != SidePath::Leaves) return;
    out_.add(ScanVerdict::Dangerous, "dcp-storage-path", part_, tree_.at(value),
             "reads a file outside the checkpoint's folder: `" + preview(path) + "`");
  }

  const PickleTree& tree_;
  const formats::PickleGraph graph_;
  const Part& part_;
  Collector& out_;
};

}  // namespace

void check_storage_paths(const PickleTree& tree, const Part& part, Collector& out) {
  const auto globals = tree.globals();
  if (std::any_of(globals.begin(), globals.end(), is_storage_info)) StoragePaths(tree, part, out).run();
}

}  // namespace tenon::scanning
