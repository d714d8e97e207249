// Two passes without recursion, because the depth is the file's. The first marks which values hold tensors at all; the
// second goes down every path that leads to one. Largest subtrees without tensors become one Object each.
#include "formats/object_walk.hpp"

#include <functional>
#include <utility>
#include <vector>

#include "base/text.hpp"
#include "formats/pickle_value.hpp"

namespace tenon::formats {

namespace {

/// For every node: does a path down from it reach a tensor?
class TensorMarks {
 public:
  /// Throws what `too_deep` makes of a node when the path down to it passes `max_depth`.
  TensorMarks(const PickleGraph& graph, std::uint64_t max_depth, std::function<Error(NodeId)> too_deep)
      : graph_(graph),
        marks_(graph.tree().node_count(), Mark::Unseen),
        max_depth_(max_depth),
        too_deep_(std::move(too_deep)) {}

  bool holds_tensor(NodeId node) {
    if (marks_[node] == Mark::Unseen) visit(node);
    return marks_[node] == Mark::Yes;
  }

 private:
  enum class Mark : std::uint8_t { Unseen, Open, No, Yes };
  struct Frame {
    NodeId node;
    std::vector<Child> children;
    std::size_t next = 0;
  };

  void visit(NodeId root) {
    std::vector<Frame> stack;
    enter(root, stack);
    while (!stack.empty()) {
      Frame& frame = stack.back();
      if (frame.next == frame.children.size()) {
        const NodeId done = frame.node;
        if (marks_[done] == Mark::Open) marks_[done] = Mark::No;
        stack.pop_back();
        if (!stack.empty() && marks_[done] == Mark::Yes) marks_[stack.back().node] = Mark::Yes;
        continue;
      }
      const NodeId child = graph_.see_through(frame.children[frame.next++].value);
      if (marks_[child] == Mark::Yes) marks_[frame.node] = Mark::Yes;
      if (marks_[child] == Mark::Unseen) enter(child, stack);
    }
  }

  void enter(NodeId node, std::vector<Frame>& stack) {
    switch (graph_.role(node)) {
      case Role::Plain: marks_[node] = Mark::No; return;
      case Role::Tensor:
        marks_[node] = Mark::Yes;
        if (!stack.empty()) marks_[stack.back().node] = Mark::Yes;
        return;
      case Role::Container:
        if (stack.size() >= max_depth_) throw too_deep_(node);
        marks_[node] = Mark::Open;
        stack.push_back({node, graph_.children(node), 0});
        return;
    }
  }

  const PickleGraph& graph_;
  std::vector<Mark> marks_;
  std::uint64_t max_depth_;
  std::function<Error(NodeId)> too_deep_;
};

class Walk {
 public:
  Walk(const WalkRequest& request, CheckpointCore& core)
      : graph_(request.graph),
        origin_(request.origin),
        core_(core),
        marks_(graph_, core.limits.nesting_depth, [this](NodeId node) { return too_deep(node, {}); }),
        values_(graph_, core.limits),
        rebuilder_(graph_, request.origin, request.find_storage, request.big_endian, core),
        open_(graph_.tree().node_count(), false) {}

  void run() {
    const NodeId root = graph_.see_through(graph_.tree().root());
    if (graph_.role(root) == Role::Container) {
      add_container(root, {}, 0, {});
      go_down(root);
    } else {
      // A bare tensor or a bare value is the top object itself: it has no key and no name.
      core_.containers.push_back(
          {.path = {}, .kind = ContainerKind::TensorParts, .type = graph_.type_name(root), .parent = 0, .key = {}});
      visit(root, Place{0, {}, false});
    }
    drain();
    if (values_.met_cycle()) core_.warnings.push_back("an object refers to itself; the reference is not followed");
    if (values_.met_limit()) core_.warnings.push_back("objects beyond a limit were left out; tensors are complete");
  }

 private:
  /// Where a value stands: in which container, under which key.
  struct Place {
    std::uint32_t container = 0;
    std::string key;
    bool integer_key = false;
  };
  struct Frame {
    NodeId node;
    std::uint32_t container;
    std::vector<Child> children;
    std::size_t next = 0;
  };

  std::string name_at(const Place& place) const {
    return place.container == 0 ? place.key : core_.containers[place.container].path + "." + place.key;
  }

  Where where(NodeId node, const std::string& name) const {
    return {core_.file, origin_.member, name, origin_.byte + graph_.tree().at(node)};
  }

  Error too_deep(NodeId node, const std::string& name) const {
    return Error(Code::Limit, where(node, name), "objects are nested too deeply",
                 "at most " + base::count_text(core_.limits.nesting_depth) + " levels");
  }

  void drain() {
    while (!stack_.empty()) {
      Frame& frame = stack_.back();
      if (frame.next == frame.children.size()) {
        open_[frame.node] = false;
        stack_.pop_back();
        continue;
      }
      const Child& child = frame.children[frame.next++];
      Place place{frame.container, {}, graph_.is_integer_key(child)};
      graph_.append_key(place.key, child);
      visit(graph_.see_through(child.value), place);
    }
  }

  void visit(NodeId node, const Place& place) {
    count_path(node, place);
    if (graph_.role(node) == Role::Tensor) return add_tensor(node, place);
    if (!marks_.holds_tensor(node)) return add_object(node, place);
    if (open_[node]) {
      core_.warnings.push_back(name_at(place) + " refers to an object around it; it is not entered again");
      return;
    }
    enter(node, place);
  }

  void enter(NodeId node, const Place& place) {
    if (stack_.size() >= core_.limits.nesting_depth) throw too_deep(node, name_at(place).substr(0, 200));
    add_container(node, name_at(place), place.container, place);
    go_down(node);
  }

  void go_down(NodeId node) {
    open_[node] = true;
    stack_.push_back({node, static_cast<std::uint32_t>(core_.containers.size() - 1), graph_.children(node), 0});
  }

  void add_container(NodeId node, std::string path, std::uint32_t parent, const Place& place) {
    core_.containers.push_back({.path = std::move(path),
                                .kind = graph_.container_kind(node),
                                .type = graph_.type_name(node),
                                .parent = parent,
                                .key = place.key,
                                .integer_key = place.integer_key});
  }

  void add_tensor(NodeId node, const Place& place) {
    const std::string name = name_at(place);
    const TensorCall call = graph_.tensor_call(node);
    try {
      TensorInfo tensor = rebuilder_.rebuild(call, name);
      tensor.name = name;
      tensor.container = place.container;
      tensor.key_begin = static_cast<std::uint32_t>(name.size() - place.key.size());
      tensor.integer_key = place.integer_key;
      core_.tensors.push_back(std::move(tensor));
      ++core_.containers[place.container].tensor_count;
    } catch (const Error& error) {
      if (core_.salvage == Salvage::No) throw;
      core_.warnings.push_back(std::string("left out: ") + error.what());
    }
    add_attachments(node, call, name, place);
  }

  /// Scales of a quantised tensor, python attributes of a parameter: they stand below the tensor's own name.
  void add_attachments(NodeId node, const TensorCall& call, const std::string& name, const Place& place) {
    std::vector<Child> kept;
    for (const Child& child : call.attachments)
      if (graph_.see_through(child.value) != kNoNode) kept.push_back(child);
    if (kept.empty()) return;
    core_.containers.push_back({.path = name,
                                .kind = ContainerKind::TensorParts,
                                .type = graph_.type_name(node),
                                .parent = place.container,
                                .key = place.key,
                                .integer_key = place.integer_key});
    open_[node] = true;
    stack_.push_back({node, static_cast<std::uint32_t>(core_.containers.size() - 1), std::move(kept), 0});
  }

  void add_object(NodeId node, const Place& place) {
    Object object;
    object.name = name_at(place);
    object.value = values_.make(node);
    object.container = place.container;
    object.key_begin = static_cast<std::uint32_t>(object.name.size() - place.key.size());
    object.integer_key = place.integer_key;
    core_.objects.push_back(std::move(object));
  }

  void count_path(NodeId node, const Place& place) {
    if (++paths_ > core_.limits.walked_paths)
      throw Error(Code::Limit, where(node, name_at(place).substr(0, 200)), "shared references spread to too many paths",
                  "at most " + base::count_text(core_.limits.walked_paths) + " paths");
  }

  const PickleGraph& graph_;
  const PickleOrigin& origin_;
  CheckpointCore& core_;
  TensorMarks marks_;
  ValueMaker values_;
  TensorRebuilder rebuilder_;
  std::vector<bool> open_;
  std::vector<Frame> stack_;
  std::uint64_t paths_ = 0;
};

}  // namespace

void walk_objects(const WalkRequest& request, CheckpointCore& core) { Walk(request, core).run(); }

}  // namespace tenon::formats
