// Two passes without recursion, because the depth is the file's. The first marks which values hold tensors at all; the
// second goes down every path that leads to one. Largest subtrees without tensors become one Object each.
#include "formats/object_walk.hpp"

#include <algorithm>
#include <functional>
#include <utility>
#include <vector>

#include "base/limit_error.hpp"
#include "base/text.hpp"
#include "formats/pickle_value.hpp"

namespace tenon::formats {

namespace {

/// For every node: does a path down from it reach a tensor?
///
/// Each container is entered once, so that shared references cost nothing. The steps found on the way are then followed
/// backwards from the tensors, which is right for values that refer to each other, too.
class TensorReach {
 public:
  /// Throws what `too_deep` makes of a node when the path down to it passes `max_depth`.
  TensorReach(const PickleGraph& graph, std::uint64_t max_depth, const std::function<Error(NodeId)>& too_deep)
      : graph_(graph), reaches_(graph.tree().node_count()) {
    descend(max_depth, too_deep);
    spread();
  }

  bool operator()(NodeId node) const { return reaches_[node]; }

 private:
  struct Step {
    NodeId child, parent;
  };
  struct Frame {
    NodeId node;
    std::vector<Child> children;
    std::size_t next = 0;
  };

  void descend(std::uint64_t max_depth, const std::function<Error(NodeId)>& too_deep) {
    std::vector<bool> seen(reaches_.size());
    std::vector<Frame> stack;
    const auto enter = [&](NodeId node) {
      seen[node] = true;
      const Role role = graph_.role(node);
      // The parts of a sparse tensor are checked where they are listed, so the walk goes there whatever they are.
      reaches_[node] = role == Role::Tensor ||
                       (role == Role::Container && graph_.container_kind(node) == ContainerKind::TensorParts);
      if (role != Role::Container) return;
      if (stack.size() >= max_depth) throw too_deep(node);
      stack.push_back({node, graph_.children(node), 0});
    };
    enter(graph_.see_through(graph_.tree().root()));
    while (!stack.empty()) {
      Frame& frame = stack.back();
      if (frame.next == frame.children.size()) {
        stack.pop_back();
        continue;
      }
      const NodeId parent = frame.node;
      const NodeId child = graph_.see_through(frame.children[frame.next++].value);
      if (!seen[child]) enter(child);
      if (reaches_[child])
        reaches_[parent] = true;
      else if (graph_.role(child) == Role::Container)
        steps_.push_back({child, parent});
    }
  }

  void spread() {
    const auto by_child = [](const Step& a, const Step& b) { return a.child < b.child; };
    std::sort(steps_.begin(), steps_.end(), by_child);
    std::vector<NodeId> fresh;
    for (NodeId node = 0; node < reaches_.size(); ++node)
      if (reaches_[node]) fresh.push_back(node);
    while (!fresh.empty()) {
      const Step wanted{fresh.back(), 0};
      fresh.pop_back();
      const auto [first, last] = std::equal_range(steps_.begin(), steps_.end(), wanted, by_child);
      for (auto step = first; step != last; ++step) {
        if (reaches_[step->parent]) continue;
        reaches_[step->parent] = true;
        fresh.push_back(step->parent);
      }
    }
  }

  const PickleGraph& graph_;
  std::vector<bool> reaches_;
  std::vector<Step> steps_;
};

class Walk {
 public:
  Walk(const WalkRequest& request, CheckpointCore& core)
      : graph_(request.graph),
        origin_(request.origin),
        core_(core),
        key_(request.key),
        reaches_tensor_(graph_, core.limits.nesting_depth, [this](NodeId node) { return too_deep(node, {}); }),
        values_(graph_, core.limits),
        rebuilder_(graph_, request.origin, request.find_storage, request.big_endian, core),
        open_(graph_.tree().node_count(), false) {}

  void run() {
    const NodeId root = graph_.see_through(graph_.tree().root());
    if (key_) {
      visit(root, Place{0, *key_, false});
    } else if (graph_.role(root) == Role::Container) {
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
    if (values_.met_limit())
      core_.warnings.push_back("objects beyond limit object_values were left out; tensors are complete");
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
    return base::limit_error(where(node, name), "objects are nested too deeply",
                             {&Limits::nesting_depth, core_.limits});
  }

  void drain() {
    Place place;  // one for all: its key's memory is used again
    while (!stack_.empty()) {
      Frame& frame = stack_.back();
      if (frame.next == frame.children.size()) {
        open_[frame.node] = false;
        stack_.pop_back();
        continue;
      }
      const Child& child = frame.children[frame.next++];
      place.container = frame.container;
      place.integer_key = graph_.is_integer_key(child);
      place.key.clear();
      graph_.append_key(place.key, child);
      visit(graph_.see_through(child.value), place);
    }
  }

  void visit(NodeId node, const Place& place) {
    count_path(node, place);
    if (graph_.role(node) == Role::Tensor) return add_tensor(node, place);
    if (!reaches_tensor_(node)) return add_object(node, place);
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
    std::vector<Child> children = graph_.children(node);
    if (core_.containers.back().kind == ContainerKind::TensorParts) require_parts(node, children);
    keep_versions(node);
    stack_.push_back({node, static_cast<std::uint32_t>(core_.containers.size() - 1), std::move(children), 0});
  }

  /// A sparse or nested tensor without all its parts is damaged, whatever else stands there.
  void require_parts(NodeId node, const std::vector<Child>& parts) const {
    const bool is_nested = graph_.meaning(node) == Meaning::RebuildNested;
    const std::size_t tensors_needed = is_nested ? 1 : graph_.type_name(node) == "torch.sparse_coo" ? 2 : 3;
    const std::size_t parts_needed = is_nested ? 4 : tensors_needed + 1;  // and the size
    const auto tensors = std::count_if(parts.begin(), parts.end(),
                                       [&](const Child& part) { return graph_.role(part.value) == Role::Tensor; });
    if (parts.size() >= parts_needed && static_cast<std::size_t>(tensors) >= tensors_needed) return;
    throw Error(Code::Corrupt, where(node, core_.containers.back().path), "parts of the tensor are missing",
                base::plural(tensors_needed, "tensor"), std::to_string(tensors),
                "the file is damaged or forged: fetch or save it again");
  }

  /// torch.nn.Module.state_dict() hangs `_metadata` on its OrderedDict: module path -> {'version': n}. It is kept as
  /// one entry {"path": n, ...}, for the first state dict that has it, where it says versions and nothing else.
  void keep_versions(NodeId node) {
    constexpr std::string_view kKey = "_metadata";
    const auto is_kept = [&](const auto& entry) { return entry.first == kKey; };
    if (std::any_of(core_.metadata.begin(), core_.metadata.end(), is_kept)) return;
    if (graph_.tree().kind(node) != NodeKind::Call || !graph_.is_mapping(node)) return;
    const NodeId state = graph_.tree().call(node).state;
    if (state == kNoNode || !graph_.is_mapping(state)) return;
    for (const auto& [name, versions] : graph_.pairs(state)) {
      if (graph_.text(name) != kKey || !graph_.is_mapping(versions)) continue;
      std::string json;
      for (const auto& [module, entry] : graph_.pairs(versions)) {
        const auto version = version_of(entry);
        if (!version || !is_plain_text(module)) return;
        json += (json.empty() ? "{\"" : ",\"") + std::string(graph_.text(module)) + "\":" + std::to_string(*version);
      }
      if (!json.empty()) core_.metadata.emplace_back(kKey, json + "}");
      return;
    }
  }

  std::optional<std::int64_t> version_of(NodeId entry) const {
    if (!graph_.is_mapping(entry)) return std::nullopt;
    const auto fields = graph_.pairs(entry);
    if (fields.size() != 1 || graph_.text(fields[0].first) != "version") return std::nullopt;
    if (graph_.tree().kind(fields[0].second) != NodeKind::Integer) return std::nullopt;
    return graph_.tree().integer(fields[0].second);
  }

  /// Text that stands in JSON as it is.
  bool is_plain_text(NodeId node) const {
    const std::string_view text = graph_.text(node);
    const auto is_plain = [](char c) { return c >= 0x20 && c < 0x7F && c != '"' && c != '\\'; };
    return graph_.tree().kind(node) == NodeKind::Text && std::all_of(text.begin(), text.end(), is_plain);
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
      throw base::limit_error(where(node, name_at(place).substr(0, 200)), "shared references spread to too many paths",
                              {&Limits::walked_paths, core_.limits});
  }

  const PickleGraph& graph_;
  const PickleOrigin& origin_;
  CheckpointCore& core_;
  const std::optional<std::string>& key_;
  TensorReach reaches_tensor_;
  ValueMaker values_;
  TensorRebuilder rebuilder_;
  std::vector<bool> open_;
  std::vector<Frame> stack_;
  std::uint64_t paths_ = 0;
};

}  // namespace

void walk_objects(const WalkRequest& request, CheckpointCore& core) { Walk(request, core).run(); }

}  // namespace tenon::formats
