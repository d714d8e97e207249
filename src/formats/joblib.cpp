#include "formats/joblib.hpp"

#include <algorithm>
#include <charconv>
#include <string_view>

#include <tenon/error.hpp>

#include "base/checked.hpp"

namespace tenon::formats {

namespace {

using container::kNoNode;
using container::NodeId;
using container::NodeKind;
using container::PickleTree;

constexpr std::string_view kClass = "NumpyArrayWrapper";
constexpr std::string_view kModule = "joblib.numpy_pickle";
constexpr std::string_view kVendored = ".joblib.numpy_pickle";  // sklearn.externals and its like
constexpr int kMostAttributes = 64;                             ///< looked at of one description; honest ones have six

bool is_wrapper(const PickleTree& tree, NodeId object) {
  if (tree.kind(object) != NodeKind::Call || tree.kind(tree.call(object).function) != NodeKind::Global) return false;
  const auto& global = tree.global(tree.call(object).function);
  return global.name == kClass && (global.module == kModule || global.module.ends_with(kVendored));
}

std::string_view text_of(const PickleTree& tree, NodeId node) {
  const NodeKind kind = tree.kind(node);
  return kind == NodeKind::Text || kind == NodeKind::RawText ? tree.bytes(node) : std::string_view();
}

/// `f8`, `<i4`, `V12`, `U5` -> bytes of one element; 0 for arrays of objects; nothing for what is no dtype.
std::optional<std::uint64_t> item_bytes(const PickleTree& tree, NodeId dtype) {
  if (tree.kind(dtype) != NodeKind::Call) return std::nullopt;
  const auto given = tree.tuple(tree.call(dtype).arguments);
  std::string_view code = given.empty() ? std::string_view() : text_of(tree, given[0]);
  if (!code.empty() && std::string_view("<>|=").find(code[0]) != std::string_view::npos) code.remove_prefix(1);
  if (code.empty()) return std::nullopt;
  if (code[0] == 'O') return 0;
  std::uint64_t number = 0;
  const auto [end, failed] = std::from_chars(code.data() + 1, code.data() + code.size(), number);
  if (failed != std::errc{} || number > 1U << 30) return std::nullopt;
  return code[0] == 'U' ? 4 * number : number;
}

std::optional<std::uint64_t> element_count(const PickleTree& tree, NodeId shape) {
  std::uint64_t count = 1;
  for (const NodeId extent : tree.items(shape)) {
    if (tree.kind(extent) != NodeKind::Integer || tree.integer(extent) < 0) return std::nullopt;
    const auto product = base::checked_multiply(count, static_cast<std::uint64_t>(tree.integer(extent)));
    if (!product) return std::nullopt;
    count = *product;
  }
  return count;
}

}  // namespace

std::optional<JoblibArray> joblib_array(const PickleTree& tree, NodeId object) {
  if (!is_wrapper(tree, object)) return std::nullopt;
  const NodeId state = tree.call(object).state;
  if (state == kNoNode || tree.kind(state) != NodeKind::Dict) return std::nullopt;
  JoblibArray array;
  const auto items = tree.items(state);
  int seen = 0;
  for (auto at = items.begin(); at != items.end() && seen < kMostAttributes; ++seen) {
    const std::string_view key = text_of(tree, *at++);
    if (at == items.end()) break;
    const NodeId value = *at++;
    if (key == "shape") array.shape = value;
    if (key == "dtype") array.dtype = value;
    if (key == "order") array.fortran = text_of(tree, value) == "F";
    if (key == "numpy_array_alignment_bytes") array.is_padded = tree.kind(value) != NodeKind::None;
  }
  if (array.shape == kNoNode || array.dtype == kNoNode) return std::nullopt;
  return array;
}

std::optional<JoblibElements> joblib_elements_behind(const PickleTree& tree, NodeId object,
                                                     std::span<const std::byte> rest) {
  const auto array = joblib_array(tree, object);
  const auto width = array ? item_bytes(tree, array->dtype) : std::nullopt;
  const auto count = array ? element_count(tree, array->shape) : std::nullopt;
  if (!width || !count || rest.empty()) return std::nullopt;
  if (*width == 0) return JoblibElements{true, 0};
  const std::uint64_t padding = array->is_padded ? 1 + std::to_integer<std::uint64_t>(rest[0]) : 0;
  const auto bytes = base::checked_multiply(*count, *width);
  const auto all = bytes ? base::checked_add(*bytes, padding) : std::nullopt;
  return JoblibElements{false, all.value_or(~std::uint64_t{0})};  // more than any stream: the caller says so
}

container::BuildObserver joblib_elements(const container::PickleSource& source, const Limits& limits) {
  return [source, &limits](const PickleTree& tree, NodeId object, std::uint64_t position) -> std::uint64_t {
    const auto rest = source.bytes.subspan(std::min<std::uint64_t>(position, source.bytes.size()));
    const auto elements = joblib_elements_behind(tree, object, rest);
    if (!elements) return 0;
    if (!elements->are_objects) return elements->bytes;
    // Their pickle ends where it says.
    return container::read_pickle({rest, source.file, source.member, source.origin + position}, limits).stream_bytes();
  };
}

}  // namespace tenon::formats
