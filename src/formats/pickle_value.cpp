#include "formats/pickle_value.hpp"

#include <bit>
#include <cstring>
#include <string>
#include <utility>

#include "container/pickle_text.hpp"

namespace tenon::formats {

namespace {

/// Values are trees that are copied and destroyed by recursion, so their depth has a bound of its own.
constexpr std::uint64_t kDeepestValue = 1'000;

Value text_value(std::string_view text) { return {std::string(text)}; }

template <class Number>
Number load(std::string_view raw, bool big_endian) {
  std::string bytes(raw.substr(0, sizeof(Number)));
  if (big_endian) bytes.assign(bytes.rbegin(), bytes.rend());
  Number number{};
  std::memcpy(&number, bytes.data(), sizeof(Number));
  return number;
}

/// The number in a numpy scalar's bytes; the bytes themselves for types that Python has no number for.
Value scalar_value(std::string_view bytes, DType dtype, bool big_endian) {
  if (bytes.size() < static_cast<std::size_t>(dtype_bytes(dtype))) return {Bytes{std::string(bytes)}};
  const auto integer = [](auto n) { return Value{static_cast<std::int64_t>(n)}; };
  if (dtype == DType::Float64) return {load<double>(bytes, big_endian)};
  if (dtype == DType::Float32) return {static_cast<double>(load<float>(bytes, big_endian))};
  if (dtype == DType::Int64) return integer(load<std::int64_t>(bytes, big_endian));
  if (dtype == DType::Int32) return integer(load<std::int32_t>(bytes, big_endian));
  if (dtype == DType::Int16) return integer(load<std::int16_t>(bytes, big_endian));
  if (dtype == DType::Int8) return integer(load<std::int8_t>(bytes, big_endian));
  if (dtype == DType::UInt32) return integer(load<std::uint32_t>(bytes, big_endian));
  if (dtype == DType::UInt16) return integer(load<std::uint16_t>(bytes, big_endian));
  if (dtype == DType::UInt8) return integer(load<std::uint8_t>(bytes, big_endian));
  if (dtype == DType::UInt64) return {BigInt{std::to_string(load<std::uint64_t>(bytes, big_endian))}};
  if (dtype == DType::Bool) return {load<std::uint8_t>(bytes, big_endian) != 0};
  return {Bytes{std::string(bytes)}};
}

}  // namespace

ValueMaker::ValueMaker(const PickleGraph& graph, const Limits& limits)
    : graph_(graph), tree_(graph.tree()), limits_(limits), open_(tree_.node_count()) {}

bool ValueMaker::spend() {
  if (made_ < limits_.object_values) return ++made_, true;
  met_limit_ = true;
  return false;
}

Value ValueMaker::make(NodeId node) {
  node = graph_.see_through(node);
  if (!spend()) return {Elided{"beyond limit object_values"}};
  switch (tree_.kind(node)) {
    case NodeKind::None: return {};
    case NodeKind::Bool: return {tree_.boolean(node)};
    case NodeKind::Integer: return {tree_.integer(node)};
    case NodeKind::BigInteger: return {BigInt{container::decimal_of_twos_complement(tree_.bytes(node))}};
    case NodeKind::Decimal: return {BigInt{std::string(tree_.bytes(node))}};
    case NodeKind::Real: return {tree_.real(node)};
    case NodeKind::Text:
    case NodeKind::RawText: return text_value(tree_.bytes(node));
    case NodeKind::Bytes: return {Bytes{std::string(tree_.bytes(node))}};
    case NodeKind::ByteArray: return {Record{"bytearray", {{Bytes{std::string(tree_.bytes(node))}}}, {}}};
    case NodeKind::Global: return {Record{graph_.function_name(node), {}, {}}};
    case NodeKind::List:
    case NodeKind::Tuple:
    case NodeKind::Dict:
    case NodeKind::Set:
    case NodeKind::FrozenSet:
    case NodeKind::Call:
    case NodeKind::Persistent: break;
  }
  if (open_[node]) {
    met_cycle_ = true;
    return {Elided{"a reference to an enclosing value"}};
  }
  if (depth_ >= std::min(kDeepestValue, limits_.nesting_depth)) {
    met_limit_ = true;
    return {Elided{"nested too deeply"}};
  }
  open_[node] = true;
  ++depth_;
  Value value = graph_.role(node) == Role::Tensor ? Value{Elided{"a tensor"}}
                : graph_.is_mapping(node)         ? make_pairs(node)
                : graph_.is_sequence(node)        ? make_items(node)
                : tree_.kind(node) == NodeKind::Call
                    ? make_call(node)
                    : Value{Record{"persistent id", {make(tree_.persistent_id(node))}, {}}};
  --depth_;
  open_[node] = false;
  return value;
}

Value ValueMaker::make_items(NodeId node) {
  Sequence sequence;
  sequence.type = graph_.type_name(node);
  for (const NodeId item : graph_.sequence(node)) {
    sequence.items.push_back(make(item));
    if (met_limit_ && made_ >= limits_.object_values) break;  // the rest would be as many times the same word
  }
  return {std::move(sequence)};
}

Value ValueMaker::make_pairs(NodeId node) {
  Mapping mapping;
  mapping.type = graph_.type_name(node);
  for (const auto& [key, value] : graph_.pairs(node)) {
    Value made_key = make(key);
    mapping.items.emplace_back(std::move(made_key), make(value));
    if (met_limit_ && made_ >= limits_.object_values) break;
  }
  return {std::move(mapping)};
}

Value ValueMaker::make_call(NodeId node) {
  const Meaning what = graph_.meaning(node);
  if (what == Meaning::NumpyScalar) return make_scalar(node);
  if (what == Meaning::Encode || what == Meaning::ByteString) {
    if (auto bytes = graph_.payload(node)) {
      const bool is_array = what == Meaning::ByteString && graph_.type_name(node).ends_with("bytearray");
      Value value{Bytes{std::string(bytes->bytes())}};
      return is_array ? Value{Record{"bytearray", {std::move(value)}, {}}} : value;
    }
  }
  return make_record(node);
}

Value ValueMaker::make_scalar(NodeId node) {
  const auto dtype = graph_.argument(node, 0);
  const auto bytes = graph_.argument(node, 1);
  const auto type = dtype ? graph_.numpy_type(*dtype) : std::nullopt;
  const auto known = type ? numpy_dtype(type->code) : std::nullopt;
  const auto raw = bytes ? graph_.payload(*bytes) : std::nullopt;
  if (!known || !raw) return make_record(node);
  return {
      Record{"numpy." + std::string(dtype_name(*known)), {scalar_value(raw->bytes(), *known, type->big_endian)}, {}}};
}

Value ValueMaker::make_record(NodeId node) {
  Record record;
  record.type = graph_.type_name(node);
  Sequence items{"list", {}};
  for (const Child& child : graph_.children(node)) {
    switch (child.kind) {
      case Child::Kind::Argument: record.arguments.push_back(make(child.value)); break;
      case Child::Kind::Position: items.items.push_back(make(child.value)); break;
      case Child::Kind::Part: record.state.emplace_back(text_value(child.part), make(child.value)); break;
      case Child::Kind::Key: {
        Value key = make(child.key);
        record.state.emplace_back(std::move(key), make(child.value));
        break;
      }
    }
    if (met_limit_ && made_ >= limits_.object_values) break;
  }
  if (!items.items.empty()) record.state.emplace_back(text_value("<items>"), Value{std::move(items)});
  return {std::move(record)};
}

}  // namespace tenon::formats
