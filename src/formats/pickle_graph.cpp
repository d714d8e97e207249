#include "formats/pickle_graph.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <charconv>
#include <unordered_set>

#include "base/utf8.hpp"
#include "container/pickle_text.hpp"
#include "formats/joblib.hpp"

namespace tenon::formats {

namespace {

constexpr std::string_view kModuleLevels[] = {"_parameters", "_buffers", "_modules"};
constexpr std::string_view kCooParts[] = {"<indices>", "<values>", "<size>", "<is_coalesced>"};
constexpr std::string_view kCompressedParts[] = {"<compressed_indices>", "<plain_indices>", "<values>", "<size>"};
constexpr std::string_view kNestedParts[] = {"<buffer>", "<sizes>", "<strides>", "<offsets>"};
constexpr int kMostWrappers = 100;  ///< around one tensor; honest files have two

Child part(std::string_view name, NodeId value) {
  Child child;
  child.kind = Child::Kind::Part;
  child.part = name;
  child.value = value;
  return child;
}

Child at_position(std::size_t position, NodeId value, Child::Kind kind = Child::Kind::Position) {
  Child child;
  child.kind = kind;
  child.position = static_cast<std::uint32_t>(position);
  child.value = value;
  return child;
}

bool is_latin1(std::string_view encoding) {
  return encoding == "latin1" || encoding == "latin-1" || encoding == "iso-8859-1";
}

bool is_utf8_codec(std::string_view encoding) { return encoding == "utf-8" || encoding == "utf8"; }

}  // namespace

PickleGraph::PickleGraph(const container::PickleTree& tree, PersistentTensors persistent_tensors)
    : tree_(tree), persistent_tensors_(std::move(persistent_tensors)) {
  for (const auto& global : tree.globals()) meanings_.push_back(meaning_of(canonical_name(global.module, global.name)));
}

Meaning PickleGraph::meaning(NodeId call) const {
  const NodeId function = tree_.call(call).function;
  return tree_.kind(function) == NodeKind::Global ? meanings_[tree_.global_index(function)] : Meaning::Unknown;
}

std::string_view PickleGraph::text(NodeId node) const {
  const NodeKind kind = tree_.kind(node);
  return kind == NodeKind::Text || kind == NodeKind::RawText || kind == NodeKind::Bytes ? tree_.bytes(node)
                                                                                        : std::string_view();
}

std::optional<std::uint32_t> PickleGraph::argument(NodeId call, std::size_t index) const {
  const auto arguments = tree_.tuple(tree_.call(call).arguments);
  if (index >= arguments.size()) return std::nullopt;
  return arguments[index];
}

NodeId PickleGraph::see_through(NodeId node) const {
  for (int i = 0; i < kMostWrappers && tree_.kind(node) == NodeKind::Call; ++i) {
    const Meaning what = meaning(node);
    const auto inner = what == Meaning::Transparent        ? argument(node, 0)
                       : what == Meaning::NumpyReconstruct ? only_item(node)
                                                           : std::nullopt;
    if (!inner) return node;
    node = *inner;
  }
  return node;
}

/// NumPy boxes whatever it is given: an array of objects with one item stands for that item.
std::optional<NodeId> PickleGraph::only_item(NodeId array_call) const {
  TensorCall call;
  call.state = tree_.call(array_call).state;
  const auto array = numpy_array(call);
  if (!array || tree_.kind(array->data) != NodeKind::List) return std::nullopt;
  const auto items = tree_.items(array->data);
  auto first = items.begin();
  if (first == items.end()) return std::nullopt;
  const NodeId only = *first;
  return ++first == items.end() ? std::optional(only) : std::nullopt;
}

std::string PickleGraph::function_name(NodeId function) const {
  if (tree_.kind(function) == NodeKind::Global) {
    const auto& global = tree_.global(function);
    return fmt::format("{}.{}", global.module, global.name);
  }
  // Legacy files hold the source text of a module's class: ('module', class, file, text).
  if (tree_.kind(function) != NodeKind::Persistent) return {};
  const auto id = tree_.tuple(tree_.persistent_id(function));
  if (!id.empty() && tree_.kind(id[0]) == NodeKind::Global)
    return function_name(id[0]);  // tar files: (class, file, text)
  return id.size() >= 2 && text(id[0]) == "module" && tree_.kind(id[1]) == NodeKind::Global ? function_name(id[1])
                                                                                            : std::string();
}

// ---- tensors

bool PickleGraph::is_sparse_or_nested(Meaning meaning) const {
  return meaning == Meaning::RebuildSparse || meaning == Meaning::RebuildSparseCsr || meaning == Meaning::RebuildNested;
}

std::optional<TensorCall> PickleGraph::unwrap(NodeId node) const {
  TensorCall found;
  found.node = node;
  NodeId function = kNoNode;
  NodeId arguments = kNoNode;
  NodeId state = kNoNode;
  const auto enter = [&](NodeId inner) {
    function = arguments = state = kNoNode;
    inner = see_through(inner);
    found.node = inner;
    if (tree_.kind(inner) != NodeKind::Call) return false;
    const auto& call = tree_.call(inner);
    function = call.function;
    arguments = call.arguments;
    state = call.state;
    return true;
  };
  const auto attach_state = [&](NodeId value) {
    const bool is_empty = tree_.kind(value) == NodeKind::None || (is_mapping(value) && pairs(value).empty());
    if (!is_empty) found.attachments.push_back(part("<state>", value));
  };
  bool is_call = enter(node);
  for (int i = 0; i < kMostWrappers; ++i) {
    if (!is_call) {
      if (tree_.kind(found.node) != NodeKind::Persistent) return std::nullopt;
      if (persistent_tensor(found.node) != nullptr) {
        found.arguments = tree_.persistent_id(found.node);
        return found;
      }
      const auto id = tree_.tuple(tree_.persistent_id(found.node));
      if (id.empty() || text(id[0]) != "storage") return std::nullopt;
      found.arguments = tree_.persistent_id(found.node);
      return found;
    }
    if (tree_.kind(function) != NodeKind::Global) return std::nullopt;
    found.meaning = meanings_[tree_.global_index(function)];
    found.arguments = arguments;
    found.state = state;
    const auto given = tree_.tuple(arguments);
    const auto flag = [&](std::size_t index) {
      if (index < given.size() && tree_.kind(given[index]) == NodeKind::Bool)
        found.requires_grad = tree_.boolean(given[index]);
    };
    switch (found.meaning) {
      case Meaning::RebuildParameter:
        if (given.empty()) return found;
        found.type = "torch.nn.Parameter";
        flag(1);
        if (given.size() > 3) attach_state(given[3]);
        is_call = enter(given[0]);
        break;
      case Meaning::ParameterClass: {
        // 0.1 to 0.3: BUILD with (tensor, requires_grad, hooks); later: the tensor is the argument.
        const auto built = state == kNoNode ? std::span<const NodeId>() : tree_.tuple(state);
        if (built.empty() && given.empty()) return std::nullopt;
        found.type = "torch.nn.Parameter";
        const auto& from = built.empty() ? given : built;
        if (from.size() > 1 && tree_.kind(from[1]) == NodeKind::Bool) found.requires_grad = tree_.boolean(from[1]);
        is_call = enter(from[0]);
        break;
      }
      case Meaning::RebuildFromType: {
        if (given.size() < 3) return found;
        const std::string type = function_name(given[1]);
        if (type != "torch.Tensor" && type != "torch._tensor.Tensor") found.type = type;
        if (found.type.find("torch.nn.parameter.") == 0) found.type = "torch.nn.Parameter";
        if (given.size() > 3) attach_state(given[3]);
        function = given[0];  // func(*args) without a node of its own
        arguments = given[2];
        state = kNoNode;
        break;
      }
      case Meaning::RebuildFromNumpy:
        if (given.empty()) return found;
        if (given.size() > 1) found.cast_to = given[1];
        flag(3);
        is_call = enter(given[0]);
        break;
      case Meaning::RebuildFromTensor:
        if (given.empty()) return found;
        flag(3);
        is_call = enter(given[0]);
        break;
      case Meaning::RebuildTensor:
      case Meaning::RebuildTensorV2:
      case Meaning::RebuildTensorV3:
      case Meaning::RebuildQuantized:
      case Meaning::RebuildMeta: return found;
      case Meaning::NumpyFromBuffer: {  // (buffer, dtype, shape, order)
        const auto type = given.size() > 1 ? numpy_type(given[1]) : std::nullopt;
        if (type && !numpy_dtype(type->code)) return std::nullopt;
        return found;
      }
      case Meaning::TensorClass:
        if (state == kNoNode || tree_.tuple(state).size() != 4) return std::nullopt;
        return found;
      case Meaning::NumpyReconstruct: {
        const auto array = numpy_array(found);
        const auto type = array ? numpy_type(array->dtype) : std::nullopt;
        if (!type || !numpy_dtype(type->code)) return std::nullopt;
        return found;
      }
      case Meaning::JoblibArray: {
        const auto array = numpy_array(found);
        const auto type = array ? numpy_type(array->dtype) : std::nullopt;
        if (!type || !numpy_dtype(type->code)) return std::nullopt;
        return found;
      }
      case Meaning::RebuildSparse:
      case Meaning::RebuildSparseCsr:
      case Meaning::RebuildNested:
      case Meaning::LoadFromBytes:
      case Meaning::Unknown:
      case Meaning::Layout:
      case Meaning::NumpyScalar:
      case Meaning::NumpyDType:
      case Meaning::Mapping:
      case Meaning::DefaultDict:
      case Meaning::Sequence:
      case Meaning::Set:
      case Meaning::FrozenSet:
      case Meaning::ByteString:
      case Meaning::Encode:
      case Meaning::Reconstructor:
      case Meaning::Transparent: return std::nullopt;
    }
  }
  return std::nullopt;
}

TensorCall PickleGraph::tensor_call(NodeId node) const {
  auto found = unwrap(node);
  TENON_ASSERT(found.has_value());
  if (found->meaning == Meaning::RebuildQuantized) {
    // qparams: (per_tensor_affine, scale, zero point) or (per_channel_affine, scales, zero points, axis)
    const auto given = tree_.tuple(found->arguments);
    const auto parameters = given.size() > 4 ? tree_.tuple(given[4]) : std::span<const NodeId>();
    constexpr std::string_view kPerTensor[] = {"<qscheme>", "<scale>", "<zero_point>"};
    constexpr std::string_view kPerChannel[] = {"<qscheme>", "<scales>", "<zero_points>", "<axis>"};
    for (std::size_t i = 0; i < parameters.size() && i < std::size(kPerChannel); ++i)
      found->attachments.push_back(
          part(parameters.size() == std::size(kPerTensor) ? kPerTensor[i] : kPerChannel[i], parameters[i]));
  }
  return std::move(*found);
}

// ---- roles

Role PickleGraph::role(NodeId node) const {
  node = see_through(node);
  switch (tree_.kind(node)) {
    case NodeKind::List:
    case NodeKind::Tuple:
    case NodeKind::Dict:
    case NodeKind::Set:
    case NodeKind::FrozenSet: return Role::Container;
    case NodeKind::Persistent: return unwrap(node) ? Role::Tensor : Role::Plain;
    case NodeKind::Call: {
      if (unwrap(node)) return Role::Tensor;
      const Meaning what = meaning(node);
      const bool is_plain = what == Meaning::Encode || what == Meaning::Layout || what == Meaning::NumpyScalar ||
                            what == Meaning::NumpyDType || what == Meaning::ByteString;
      return is_plain ? Role::Plain : Role::Container;
    }
    case NodeKind::None:
    case NodeKind::Bool:
    case NodeKind::Integer:
    case NodeKind::BigInteger:
    case NodeKind::Decimal:
    case NodeKind::Real:
    case NodeKind::Text:
    case NodeKind::RawText:
    case NodeKind::Bytes:
    case NodeKind::ByteArray:
    case NodeKind::Global: return Role::Plain;
  }
  return Role::Plain;
}

bool PickleGraph::is_mapping(NodeId node) const {
  if (tree_.kind(node) == NodeKind::Dict) return true;
  if (tree_.kind(node) != NodeKind::Call) return false;
  const Meaning what = meaning(node);
  return what == Meaning::Mapping || what == Meaning::DefaultDict;
}

bool PickleGraph::is_sequence(NodeId node) const {
  const NodeKind kind = tree_.kind(node);
  if (kind == NodeKind::List || kind == NodeKind::Tuple || kind == NodeKind::Set || kind == NodeKind::FrozenSet)
    return true;
  if (kind != NodeKind::Call) return false;
  const Meaning what = meaning(node);
  return what == Meaning::Sequence || what == Meaning::Set || what == Meaning::FrozenSet;
}

std::vector<NodeId> PickleGraph::sequence(NodeId node) const {
  std::vector<NodeId> out;
  const auto add = [&](container::PickleItems items) {
    for (const NodeId item : items) out.push_back(item);
  };
  if (tree_.kind(node) == NodeKind::Call) {
    if (const auto source = argument(node, 0)) add(tree_.items(see_through(*source)));
    add(tree_.items(tree_.call(node).items));
  } else {
    add(tree_.items(node));
  }
  return out;
}

namespace {

/// A key as far as Python's equality of plain keys goes; other keys are equal only to themselves.
struct PlainKey {
  std::string_view text;
  std::uint64_t number = 0;
  std::uint8_t kind = 0;
  friend bool operator==(const PlainKey&, const PlainKey&) = default;
  std::size_t hash() const { return std::hash<std::string_view>{}(text) ^ (number * 0x9E3779B97F4A7C15U) ^ kind; }
};

PlainKey plain_key(const container::PickleTree& tree, NodeId node) {
  switch (tree.kind(node)) {
    case NodeKind::Text:
    case NodeKind::RawText: return {tree.bytes(node), 0, 1};
    case NodeKind::Bytes: return {tree.bytes(node), 0, 2};
    case NodeKind::Bool:
    case NodeKind::Integer: return {{}, std::bit_cast<std::uint64_t>(tree.integer(node)), 3};
    case NodeKind::Real: return {{}, std::bit_cast<std::uint64_t>(tree.real(node)), 4};
    case NodeKind::None: return {{}, 0, 5};
    case NodeKind::BigInteger:
    case NodeKind::Decimal:
    case NodeKind::ByteArray:
    case NodeKind::List:
    case NodeKind::Tuple:
    case NodeKind::Dict:
    case NodeKind::Set:
    case NodeKind::FrozenSet:
    case NodeKind::Global:
    case NodeKind::Call:
    case NodeKind::Persistent: return {{}, node, 6};
  }
  return {{}, node, 6};
}

void add_alternating(std::vector<std::pair<NodeId, NodeId>>& out, container::PickleItems items) {
  for (auto at = items.begin(); at != items.end();) {
    const NodeId key = *at++;
    if (at == items.end()) return;
    out.emplace_back(key, *at++);
  }
}

/// Later values take the place of earlier ones under the same key. Open addressing; the upper half of a hash stands
/// beside the position, so that a key's text is compared, which is a cache miss, only where both are likely equal.
void drop_duplicates(const container::PickleTree& tree, std::vector<std::pair<NodeId, NodeId>>& pairs) {
  if (pairs.size() < 2) return;
  struct Slot {
    std::uint32_t position = kNoNode, tag = 0;
  };
  std::vector<Slot> slots(std::bit_ceil(pairs.size() * 2));
  const std::size_t mask = slots.size() - 1;
  std::uint32_t kept = 0;
  for (const auto& [key, value] : pairs) {
    const PlainKey wanted = plain_key(tree, key);
    const std::size_t hash = wanted.hash() * 0x9E3779B97F4A7C15U;
    const auto tag = static_cast<std::uint32_t>(hash >> 32U);
    std::size_t at = (hash ^ tag) & mask;  // numbers may differ in their upper bits alone
    const auto is_other = [&](const Slot& slot) {
      return slot.tag != tag || plain_key(tree, pairs[slot.position].first) != wanted;
    };
    while (slots[at].position != kNoNode && is_other(slots[at])) at = (at + 1) & mask;
    if (slots[at].position != kNoNode) {
      pairs[slots[at].position].second = value;
    } else {
      slots[at] = {kept, tag};
      pairs[kept++] = {key, value};
    }
  }
  pairs.resize(kept);
}

}  // namespace

std::vector<std::pair<NodeId, NodeId>> PickleGraph::pairs(NodeId mapping) const {
  std::vector<std::pair<NodeId, NodeId>> out;
  if (tree_.kind(mapping) == NodeKind::Call) {
    const auto source = argument(mapping, meaning(mapping) == Meaning::DefaultDict ? 1 : 0);
    if (source && tree_.kind(*source) == NodeKind::Dict)
      add_alternating(out, tree_.items(*source));
    else if (source)  // protocols 0 and 1: a list of [key, value]
      for (const NodeId item : tree_.items(*source)) {
        const std::vector<NodeId> pair = sequence(item);
        if (pair.size() == 2) out.emplace_back(pair[0], pair[1]);
      }
    add_alternating(out, tree_.items(tree_.call(mapping).pairs));
  } else {
    add_alternating(out, tree_.items(mapping));
  }
  drop_duplicates(tree_, out);
  return out;
}

void PickleGraph::add_pairs(std::vector<Child>& out, const std::vector<std::pair<NodeId, NodeId>>& pairs) const {
  out.reserve(out.size() + pairs.size());
  for (const auto& [key, value] : pairs) {
    Child child;
    child.key = key;
    child.value = value;
    out.push_back(child);
  }
}

NodeId PickleGraph::module_state(NodeId call) const {
  const NodeId state = tree_.call(call).state;
  if (state == kNoNode || !is_mapping(state)) return kNoNode;
  int levels = 0;
  for (const auto& [key, value] : pairs(state))
    for (const std::string_view level : kModuleLevels)
      if (text(key) == level && is_mapping(value)) ++levels;
  return levels >= 2 ? state : kNoNode;
}

// Keys as the state dict has them: the three levels are left out, and so are entries that are None. An attribute that
// only repeats tensors of the module (LSTM's `_flat_weights`) is no second set of weights.
std::vector<Child> PickleGraph::module_children(NodeId state) const {
  std::vector<Child> out;
  std::unordered_set<NodeId> registered;
  const auto attributes = pairs(state);
  const auto is_level = [&](NodeId key) {
    return std::find(std::begin(kModuleLevels), std::end(kModuleLevels), text(key)) != std::end(kModuleLevels);
  };
  for (const auto& [key, value] : attributes)
    if (is_level(key) && is_mapping(value))
      for (const auto& [name, tensor] : pairs(value)) registered.insert(see_through(tensor));
  const auto repeats = [&](NodeId value) {
    if (tree_.kind(value) == NodeKind::Call && registered.count(value) != 0) return true;
    if (tree_.kind(value) != NodeKind::List && tree_.kind(value) != NodeKind::Tuple) return false;
    const std::vector<NodeId> items = sequence(value);
    return !items.empty() && std::all_of(items.begin(), items.end(), [&](NodeId item) {
      return registered.count(see_through(item)) != 0 && tree_.kind(item) == NodeKind::Call;
    });
  };
  for (const auto& [key, value] : attributes) {
    if (is_level(key) && is_mapping(value)) {
      auto inner = pairs(value);
      inner.erase(std::remove_if(inner.begin(), inner.end(),
                                 [&](const auto& p) { return tree_.kind(p.second) == NodeKind::None; }),
                  inner.end());
      add_pairs(out, inner);
    } else if (!repeats(value)) {
      add_pairs(out, {{key, value}});
    }
  }
  return out;
}

std::vector<Child> PickleGraph::record_children(NodeId node) const {
  std::vector<Child> out;
  const auto& call = tree_.call(node);
  std::size_t index = 0;
  for (const NodeId given : tree_.items(call.arguments))
    out.push_back(at_position(index++, given, Child::Kind::Argument));
  if (call.keywords != kNoNode && !pairs(call.keywords).empty()) out.push_back(part("<kwargs>", call.keywords));
  index = 0;
  for (const NodeId item : tree_.items(call.items)) out.push_back(at_position(index++, item));
  std::vector<std::pair<NodeId, NodeId>> set_after;
  add_alternating(set_after, tree_.items(call.pairs));
  drop_duplicates(tree_, set_after);
  add_pairs(out, set_after);
  if (call.state == kNoNode || tree_.kind(call.state) == NodeKind::None) return out;
  if (is_mapping(call.state))
    add_pairs(out, pairs(call.state));
  else
    out.push_back(part("<state>", call.state));
  return out;
}

std::vector<Child> PickleGraph::tensor_parts(NodeId call) const {
  std::vector<Child> out;
  const auto given = tree_.tuple(tree_.call(call).arguments);
  const auto name_all = [&](const auto& names, const auto& values) {
    for (std::size_t i = 0; i < values.size() && i < std::size(names); ++i) out.push_back(part(names[i], values[i]));
  };
  if (meaning(call) == Meaning::RebuildNested) {
    name_all(kNestedParts, given);
  } else if (given.size() > 1) {
    if (type_name(call) == "torch.sparse_coo")
      name_all(kCooParts, sequence(given[1]));
    else
      name_all(kCompressedParts, sequence(given[1]));
  }
  return out;
}

std::vector<Child> PickleGraph::children(NodeId node) const {
  node = see_through(node);
  std::vector<Child> out;
  if (is_mapping(node)) {
    add_pairs(out, pairs(node));
    return out;
  }
  if (is_sequence(node)) {
    const std::vector<NodeId> items = sequence(node);
    out.reserve(items.size());
    for (std::size_t i = 0; i < items.size(); ++i) out.push_back(at_position(i, items[i]));
    return out;
  }
  if (tree_.kind(node) != NodeKind::Call) return out;
  const Meaning what = meaning(node);
  if (is_sparse_or_nested(what)) return tensor_parts(node);
  if (what == Meaning::NumpyReconstruct && tree_.call(node).state != kNoNode) {
    TensorCall call;
    call.state = tree_.call(node).state;
    const auto array = numpy_array(call);
    if (array && tree_.kind(array->data) == NodeKind::List) return children(array->data);  // an array of objects
  }
  const NodeId state = module_state(node);
  return state == kNoNode ? record_children(node) : module_children(state);
}

ContainerKind PickleGraph::container_kind(NodeId node) const {
  node = see_through(node);
  if (is_mapping(node)) return ContainerKind::Mapping;
  if (is_sequence(node)) return ContainerKind::Sequence;
  if (tree_.kind(node) != NodeKind::Call) return ContainerKind::Record;
  if (is_sparse_or_nested(meaning(node))) return ContainerKind::TensorParts;
  return module_state(node) == kNoNode ? ContainerKind::Record : ContainerKind::Module;
}

std::string PickleGraph::type_name(NodeId node) const {
  node = see_through(node);
  switch (tree_.kind(node)) {
    case NodeKind::None: return "NoneType";
    case NodeKind::Bool: return "bool";
    case NodeKind::Integer:
    case NodeKind::BigInteger:
    case NodeKind::Decimal: return "int";
    case NodeKind::Real: return "float";
    case NodeKind::Text:
    case NodeKind::RawText: return "str";
    case NodeKind::Bytes: return "bytes";
    case NodeKind::ByteArray: return "bytearray";
    case NodeKind::List: return "list";
    case NodeKind::Tuple: return "tuple";
    case NodeKind::Dict: return "dict";
    case NodeKind::Set: return "set";
    case NodeKind::FrozenSet: return "frozenset";
    case NodeKind::Global: return function_name(node);
    case NodeKind::Persistent: return "persistent id";
    case NodeKind::Call: break;
  }
  const auto first = argument(node, 0);
  switch (meaning(node)) {
    case Meaning::Set: return "set";
    case Meaning::FrozenSet: return "frozenset";
    case Meaning::Reconstructor: return first ? function_name(*first) : "object";
    case Meaning::RebuildNested: return "torch.nested";
    case Meaning::RebuildSparse:
    case Meaning::RebuildSparseCsr: {
      if (!first) return "torch.sparse";
      if (tree_.kind(*first) != NodeKind::Call) return function_name(*first);
      const auto layout = argument(*first, 0);
      return layout ? std::string(text(*layout)) : "torch.sparse";
    }
    case Meaning::Mapping:
    case Meaning::DefaultDict:
    case Meaning::Sequence: {
      const auto& global = tree_.global(tree_.call(node).function);
      const std::string name = canonical_name(global.module, global.name);
      if (name.starts_with("builtins.")) return name.substr(std::string_view("builtins.").size());
      return name.starts_with("torch.jit._pickle.") ? "list" : name;
    }
    case Meaning::NumpyReconstruct:
    case Meaning::JoblibArray: return "numpy.ndarray";
    case Meaning::Unknown:
    case Meaning::RebuildTensor:
    case Meaning::RebuildTensorV2:
    case Meaning::RebuildTensorV3:
    case Meaning::RebuildQuantized:
    case Meaning::RebuildMeta:
    case Meaning::RebuildParameter:
    case Meaning::RebuildFromType:
    case Meaning::RebuildFromNumpy:
    case Meaning::RebuildFromTensor:
    case Meaning::TensorClass:
    case Meaning::ParameterClass:
    case Meaning::Layout:
    case Meaning::LoadFromBytes:
    case Meaning::NumpyFromBuffer:
    case Meaning::NumpyScalar:
    case Meaning::NumpyDType:
    case Meaning::ByteString:
    case Meaning::Encode:
    case Meaning::Transparent: break;
  }
  const std::string name = function_name(tree_.call(node).function);
  return name.empty() ? "object" : name;
}

// ---- numpy

std::optional<PickleGraph::NumpyType> PickleGraph::numpy_type(NodeId dtype) const {
  if (tree_.kind(dtype) != NodeKind::Call || meaning(dtype) != Meaning::NumpyDType) return std::nullopt;
  const auto code = argument(dtype, 0);
  if (!code) return std::nullopt;
  NumpyType type;
  type.code = std::string(text(*code));
  const NodeId state = tree_.call(dtype).state;  // (version, byte order, ...)
  const auto fields = state == kNoNode ? std::span<const NodeId>() : tree_.tuple(state);
  if (fields.size() > 1) type.big_endian = text(fields[1]) == ">";
  if (!type.code.empty() &&
      (type.code[0] == '<' || type.code[0] == '>' || type.code[0] == '|' || type.code[0] == '=')) {
    type.big_endian = type.code[0] == '>';
    type.code.erase(0, 1);
  }
  return type;
}

const TensorInfo* PickleGraph::persistent_tensor(NodeId persistent) const {
  if (!persistent_tensors_) return nullptr;
  const NodeId id = tree_.persistent_id(persistent);
  if (tree_.kind(id) == NodeKind::Integer) return persistent_tensors_(tree_.integer(id));
  const std::string_view digits = text(id);
  std::int64_t key = 0;
  const auto [end, failed] = std::from_chars(digits.data(), digits.data() + digits.size(), key);
  const bool is_number = !digits.empty() && failed == std::errc{} && end == digits.data() + digits.size();
  return is_number ? persistent_tensors_(key) : nullptr;
}

std::optional<PickleGraph::NumpyArray> PickleGraph::numpy_array(const TensorCall& call) const {
  if (call.meaning == Meaning::JoblibArray) {
    const auto described = joblib_array(tree_, call.node);
    if (!described) return std::nullopt;
    return NumpyArray{.shape = described->shape, .dtype = described->dtype, .fortran = described->fortran};
  }
  auto fields = call.state == kNoNode ? std::span<const NodeId>() : tree_.tuple(call.state);
  if (fields.size() == 5) fields = fields.subspan(1);  // a version in front, since numpy 1.0
  if (fields.size() != 4) return std::nullopt;
  NumpyArray array;
  array.shape = fields[0];
  array.dtype = fields[1];
  array.fortran = (tree_.kind(fields[2]) == NodeKind::Bool || tree_.kind(fields[2]) == NodeKind::Integer) &&
                  tree_.integer(fields[2]) != 0;
  array.data = fields[3];
  return array;
}

std::optional<PickleGraph::Payload> PickleGraph::payload(NodeId node) const {
  for (int i = 0; i < kMostWrappers; ++i) {
    switch (tree_.kind(node)) {
      case NodeKind::Bytes:
      case NodeKind::ByteArray:
      case NodeKind::RawText: return Payload{{}, tree_.bytes(node), tree_.stream_offset(node)};
      case NodeKind::Text: {  // Python 3's view of a Python 2 string
        auto decoded = container::latin1_of_utf8(tree_.bytes(node));
        if (!decoded) return std::nullopt;
        return Payload{std::move(decoded), {}, {}};
      }
      case NodeKind::Call: {
        const Meaning what = meaning(node);
        const auto first = argument(node, 0);
        if (what == Meaning::ByteString && !first) return Payload{};
        if (what == Meaning::Encode && first && tree_.kind(*first) == NodeKind::Text) {
          const auto codec = argument(node, 1);
          const std::string_view encoding = codec ? text(*codec) : "utf-8";
          if (is_utf8_codec(encoding)) return Payload{{}, tree_.bytes(*first), tree_.stream_offset(*first)};
          if (!is_latin1(encoding)) return std::nullopt;
          node = *first;
          continue;
        }
        if (what != Meaning::ByteString) return std::nullopt;
        node = *first;
        continue;
      }
      case NodeKind::None:
      case NodeKind::Bool:
      case NodeKind::Integer:
      case NodeKind::BigInteger:
      case NodeKind::Decimal:
      case NodeKind::Real:
      case NodeKind::List:
      case NodeKind::Tuple:
      case NodeKind::Dict:
      case NodeKind::Set:
      case NodeKind::FrozenSet:
      case NodeKind::Global:
      case NodeKind::Persistent: return std::nullopt;
    }
  }
  return std::nullopt;
}

// ---- keys

bool PickleGraph::is_integer_key(const Child& child) const {
  if (child.kind == Child::Kind::Position) return true;
  if (child.kind != Child::Kind::Key) return false;
  const NodeKind kind = tree_.kind(child.key);
  return kind == NodeKind::Integer || kind == NodeKind::BigInteger || kind == NodeKind::Decimal;
}

void PickleGraph::append_key(std::string& out, const Child& child) const {
  switch (child.kind) {
    case Child::Kind::Position: out += std::to_string(child.position); return;
    case Child::Kind::Argument: out += fmt::format("<arg{}>", child.position); return;
    case Child::Kind::Part: out += child.part; return;
    case Child::Kind::Key: break;
  }
  const NodeId key = child.key;
  switch (tree_.kind(key)) {
    case NodeKind::Text: out += tree_.bytes(key); return;
    case NodeKind::RawText:
      if (base::is_utf8(tree_.bytes(key)))
        out += tree_.bytes(key);
      else
        out += container::utf8_of_latin1(tree_.bytes(key));
      return;
    case NodeKind::Bytes: out += container::utf8_of_latin1(tree_.bytes(key)); return;
    case NodeKind::Integer: out += std::to_string(tree_.integer(key)); return;
    case NodeKind::BigInteger: out += container::decimal_of_twos_complement(tree_.bytes(key)); return;
    case NodeKind::Decimal: out += tree_.bytes(key); return;
    case NodeKind::Bool: out += tree_.boolean(key) ? "True" : "False"; return;
    case NodeKind::None: out += "None"; return;
    case NodeKind::Real: out += fmt::format("{}", tree_.real(key)); return;
    case NodeKind::Tuple: {  // of plain keys; deeper ones are named by their type, so nothing recurses
      out += '(';
      bool is_first = true;
      for (const NodeId item : tree_.items(key)) {
        if (!is_first) out += ',';
        is_first = false;
        Child inner;
        inner.key = item;
        if (tree_.kind(item) == NodeKind::Tuple)
          out += "(...)";
        else
          append_key(out, inner);
      }
      out += ')';
      return;
    }
    case NodeKind::ByteArray:
    case NodeKind::List:
    case NodeKind::Dict:
    case NodeKind::Set:
    case NodeKind::FrozenSet:
    case NodeKind::Global:
    case NodeKind::Call:
    case NodeKind::Persistent: out += fmt::format("<{}>", type_name(key)); return;
  }
}

}  // namespace tenon::formats
