// Source: joblib/numpy_pickle.py, NumpyArrayWrapper.read_array: a byte with the length of the padding, the padding
// (both only where the wrapper says `numpy_array_alignment_bytes`), then the elements; an array of objects is a pickle.
#include "scan/joblib_arrays.hpp"

#include <algorithm>
#include <optional>
#include <string>

#include "base/checked.hpp"
#include "base/cursor.hpp"
#include "formats/pickle_graph.hpp"
#include "scan/pickle_scan.hpp"

namespace tenon::scanning {

namespace {

using container::kNoNode;
using container::NodeId;
using container::NodeKind;
using container::PickleTree;

bool is_wrapper(const PickleTree& tree, NodeId node) {
  if (tree.kind(node) != NodeKind::Call) return false;
  const NodeId function = tree.call(node).function;
  return tree.kind(function) == NodeKind::Global && tree.global(function).name == "NumpyArrayWrapper" &&
         tree.global(function).module.ends_with("joblib.numpy_pickle");
}

struct Wrapper {
  NodeId shape = kNoNode, dtype = kNoNode, alignment = kNoNode;
};

Wrapper wrapper_of(const PickleTree& tree, NodeId state) {
  Wrapper found;
  const auto items = tree.items(state);
  for (auto item = items.begin(); item != items.end(); ++item) {
    const NodeId key = *item;
    if (++item == items.end()) break;
    if (tree.kind(key) != NodeKind::Text && tree.kind(key) != NodeKind::RawText) continue;
    if (tree.bytes(key) == "shape") found.shape = *item;
    if (tree.bytes(key) == "dtype") found.dtype = *item;
    if (tree.bytes(key) == "numpy_array_alignment_bytes") found.alignment = *item;
  }
  return found;
}

/// Bytes of one element by the code of its type: `f8`, `<i4`, `U12`; nothing for objects.
std::optional<std::uint64_t> element_bytes(std::string_view code) {
  const std::size_t digits = code.find_first_of("0123456789");
  if (digits == std::string_view::npos || code.find('O') != std::string_view::npos) return std::nullopt;
  const std::uint64_t count = std::stoull(std::string(code.substr(digits, 9)));
  return digits > 0 && code[digits - 1] == 'U' ? 4 * count : count;
}

std::optional<std::string> type_code(const PickleTree& tree, NodeId dtype) {
  if (tree.kind(dtype) != NodeKind::Call) return std::nullopt;
  const auto arguments = tree.tuple(tree.call(dtype).arguments);
  if (arguments.empty() || (tree.kind(arguments[0]) != NodeKind::Text && tree.kind(arguments[0]) != NodeKind::RawText))
    return std::nullopt;
  return std::string(tree.bytes(arguments[0]));
}

}  // namespace

std::uint64_t joblib_array_bytes(const PickleTree& tree, NodeId built, const Part& rest, Collector& out) {
  if (!is_wrapper(tree, built) || rest.depth > out.limits().scan_depth) return 0;
  const Wrapper wrapper = wrapper_of(tree, tree.call(built).state);
  if (wrapper.shape == kNoNode || wrapper.dtype == kNoNode) return 0;
  const auto code = type_code(tree, wrapper.dtype);
  if (!code) return 0;
  if (code->find('O') != std::string::npos) {
    Part objects = rest;
    ++objects.depth;
    const auto inner = scan_one_pickle(objects, Start::Certain, {}, out);
    return inner ? inner->end_bytes : 0;
  }
  auto bytes = element_bytes(*code);
  for (const NodeId extent : tree.items(wrapper.shape)) {
    if (!bytes || tree.kind(extent) != NodeKind::Integer || tree.integer(extent) < 0) return 0;
    bytes = base::checked_multiply(*bytes, static_cast<std::uint64_t>(tree.integer(extent)));
  }
  if (!bytes) return 0;
  std::uint64_t padding = 0;
  if (wrapper.alignment != kNoNode && tree.kind(wrapper.alignment) == NodeKind::Integer && !rest.bytes.empty())
    padding = 1 + (rest.bytes[0] == std::byte{0xFF} ? 0 : std::to_integer<std::uint64_t>(rest.bytes[0]));
  const auto all = base::checked_add(*bytes, padding);
  if (!all || *all > rest.bytes.size()) {
    out.add(ScanVerdict::Malformed, "joblib-array", rest, 0, "the file ends within an array's elements");
    return rest.bytes.size();
  }
  return *all;
}

}  // namespace tenon::scanning
