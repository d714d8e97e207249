#include "formats/tensor_rebuild.hpp"

#include <algorithm>
#include <tuple>
#include <utility>

#include "base/checked.hpp"
#include "base/cursor.hpp"
#include "base/moved_error.hpp"
#include "base/text.hpp"
#include "formats/torch_legacy.hpp"

namespace tenon::formats {

namespace {

constexpr std::string_view kNext = "the file is damaged or forged: fetch or save it again";

[[noreturn]] void refuse(const Spot& where, std::string what, std::string expected = {}, std::string found = {}) {
  throw Error(Code::Corrupt, where, std::move(what), std::move(expected), std::move(found), std::string(kNext));
}

std::optional<std::int64_t> integer(const container::PickleTree& tree, NodeId node) {
  if (tree.kind(node) != NodeKind::Integer) return std::nullopt;
  return tree.integer(node);
}

Stride column_major(const Shape& shape) {
  Stride stride(shape.size());
  std::int64_t step = 1;
  for (std::size_t axis = 0; axis < shape.size(); ++axis) {
    stride[axis] = step;
    if (__builtin_mul_overflow(step, std::max<std::int64_t>(shape[axis], 1), &step))
      step = INT64_MAX;  // check() refuses it
  }
  return stride;
}

/// Whole elements of a storage class to bytes.
std::uint64_t bytes_of_count(const container::PickleTree& tree, NodeId node, DType dtype, const Spot& where) {
  const auto count = integer(tree, node);
  if (!count || *count < 0) refuse(where, "the element count of a storage is no number", "0 or more");
  const auto bytes = base::checked_multiply(static_cast<std::uint64_t>(*count), storage_element_bytes(dtype));
  if (!bytes) refuse(where, "the storage claims more than 2^64 bytes");
  return *bytes;
}

/// `<f4` style type of the class in a persistent id; old files name dtypes as text.
std::optional<DType> dtype_of_class(const PickleGraph& graph, NodeId node) {
  if (graph.tree().kind(node) != NodeKind::Global) return parse_dtype(graph.text(node));
  const auto& global = graph.tree().global(node);
  return storage_dtype(canonical_name(global.module, global.name));
}

}  // namespace

std::uint64_t storage_element_bytes(DType dtype) {
  return static_cast<std::uint64_t>(std::max<std::int64_t>(1, dtype_bytes(dtype)));
}

std::optional<StorageClaim> read_storage_claim(const PickleGraph& graph, NodeId persistent, const Spot& where) {
  const auto& tree = graph.tree();
  if (tree.kind(persistent) != NodeKind::Persistent) return std::nullopt;
  const auto id = tree.tuple(tree.persistent_id(persistent));
  if (id.empty() || graph.text(id[0]) != "storage") return std::nullopt;
  if (id.size() < 5) refuse(where, "the persistent id of a storage is too short", "5 parts", std::to_string(id.size()));
  StorageClaim claim;
  const auto dtype = dtype_of_class(graph, id[1]);
  if (!dtype) refuse(where, "the storage has an unknown class", "such as torch.FloatStorage", graph.type_name(id[1]));
  claim.dtype = *dtype;
  claim.key = graph.text(id[2]);
  claim.location = graph.text(id[3]);
  const bool is_name = !claim.key.empty() &&
                       claim.key.find_first_of(std::string_view("/\\\0", 3)) == std::string_view::npos &&
                       claim.key.find("..") == std::string_view::npos;
  // Archives of torch 1.4 and before name the record in full.
  const bool is_old_record =
      claim.key.starts_with("tensors/") && claim.key.find_first_not_of("0123456789", 8) == std::string_view::npos;
  if (!is_name && !is_old_record)
    refuse(where, "the key of a storage is no plain name", "digits", std::string(claim.key));
  claim.bytes = bytes_of_count(tree, id[4], claim.dtype, where);
  claim.view_bytes = claim.bytes;
  if (id.size() > 5 && tree.kind(id[5]) != NodeKind::None) {
    const auto view = tree.tuple(id[5]);
    if (view.size() != 3) refuse(where, "the view of a storage is malformed", "(key, offset, count)");
    claim.view_begin = bytes_of_count(tree, view[1], claim.dtype, where);
    claim.view_bytes = bytes_of_count(tree, view[2], claim.dtype, where);
    if (claim.view_begin > claim.bytes || claim.view_bytes > claim.bytes - claim.view_begin)
      refuse(where, "the view reaches past its storage", base::plural(claim.bytes, "byte"));
  }
  return claim;
}

struct TensorRebuilder::Step {
  const TensorRebuilder& self;
  const TensorCall& call;
  TensorInfo info;
  Spot where;
  std::span<const NodeId> given;  ///< positional arguments
  std::optional<StorageClaim> claim;

  std::int64_t count(NodeId node, std::string_view field) const {
    const auto number = integer(self.tree_, node);
    if (!number)
      refuse(where, std::string(field) + " of the tensor is no integer", "an integer", self.graph_.type_name(node));
    return *number;
  }
  std::vector<std::int64_t> counts(NodeId node, std::string_view field) const {
    if (!self.graph_.is_sequence(node))
      refuse(where, std::string(field) + " of the tensor is no list of integers", "a tuple",
             self.graph_.type_name(node));
    std::vector<std::int64_t> out;
    if (self.tree_.kind(node) == NodeKind::Tuple) {  // as torch writes it: without a list of nodes in between
      out.reserve(self.tree_.tuple(node).size());
      for (const NodeId item : self.tree_.tuple(node)) out.push_back(count(item, field));
    } else {
      for (const NodeId item : self.graph_.sequence(node)) out.push_back(count(item, field));
    }
    return out;
  }
  DType dtype(NodeId node) const {
    const auto& tree = self.tree_;
    const auto known = tree.kind(node) == NodeKind::Global && tree.global(node).module == "torch"
                           ? parse_dtype(tree.global(node).name)
                           : std::nullopt;
    if (!known || dtype_bytes(*known) == 0)  // the packed types of other formats are none of torch's
      throw Error(Code::Unsupported, where, "the tensor has an unknown dtype", "such as torch.float32",
                  self.graph_.type_name(node));
    return *known;
  }
};

TensorRebuilder::TensorRebuilder(const PickleGraph& graph, const PickleOrigin& origin,
                                 const StorageFinder& find_storage, bool big_endian, CheckpointCore& core)
    : graph_(graph),
      tree_(graph.tree()),
      origin_(origin),
      find_storage_(find_storage),
      big_endian_(big_endian),
      core_(core) {}

TensorInfo TensorRebuilder::rebuild(const TensorCall& call, std::string_view name) {
  Step step{*this, call, {}, {core_.file, origin_.member, name, origin_.byte + tree_.at(call.node)}, {}, {}};
  step.info.name = name;
  step.info.type = call.type;
  if (call.arguments != kNoNode) step.given = tree_.tuple(call.arguments);
  const auto optional_argument = [&](std::size_t index) {
    return index < step.given.size() ? step.given[index] : kNoNode;
  };
  switch (call.meaning) {
    case Meaning::RebuildTensor: rebuild_view(step, 4, kNoNode, kNoNode); break;
    case Meaning::RebuildTensorV2: rebuild_view(step, 5, kNoNode, optional_argument(6)); break;
    case Meaning::RebuildTensorV3: rebuild_view(step, 7, optional_argument(6), optional_argument(7)); break;
    case Meaning::RebuildQuantized: rebuild_view(step, 6, kNoNode, kNoNode); break;
    case Meaning::TensorClass:
      step.given = tree_.tuple(call.state);
      rebuild_view(step, 4, kNoNode, kNoNode);
      break;
    case Meaning::RebuildMeta: rebuild_meta(step); break;
    case Meaning::JoblibArray:
    case Meaning::NumpyReconstruct: {
      const auto array = graph_.numpy_array(call);
      TENON_ASSERT(array.has_value());
      rebuild_numpy(step, *array, call.node);
      break;
    }
    case Meaning::NumpyFromBuffer: rebuild_from_buffer(step); break;
    case Meaning::Unknown:
      if (tree_.kind(call.node) == NodeKind::Persistent) {
        if (const TensorInfo* known = graph_.persistent_tensor(call.node))
          take_row(step, *known);
        else
          rebuild_bare_storage(step);
        break;
      }
      [[fallthrough]];
    case Meaning::RebuildParameter:
    case Meaning::RebuildFromType:
    case Meaning::RebuildFromNumpy:
    case Meaning::RebuildFromTensor: refuse(step.where, "the call that rebuilds the tensor has too few arguments");
    case Meaning::RebuildSparse:
    case Meaning::RebuildSparseCsr:
    case Meaning::RebuildNested:
    case Meaning::LoadFromBytes:
    case Meaning::ParameterClass:
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
    case Meaning::Transparent: throw Bug("no tensor");
  }
  if (call.requires_grad) step.info.requires_grad = call.requires_grad;
  try {
    core_.check(step.info);
  } catch (const Error& error) {  // knows the storage; the place in the pickle is known here
    throw base::moved_error(error, step.where);
  }
  if (call.cast_to != kNoNode) cast_numpy(step, call.cast_to);
  return std::move(step.info);
}

/// pickle.dump of a tensor: its storage is a whole stream of torch.save, in the bytes that a call is given.
void TensorRebuilder::view_of_nested(Step& step, NodeId call) {
  const auto given = graph_.argument(call, 0);
  const auto known = nested_.find(call);
  if (known == nested_.end()) {
    auto payload = given ? graph_.payload(*given) : std::nullopt;
    if (!payload)
      refuse(step.where, "the storage is given no bytes", "bytes", given ? graph_.type_name(*given) : "nothing");
    const auto stream = base::as_bytes(payload->bytes());
    LegacyStorage storage = read_legacy_storage(stream, step.where, core_.limits);
    StorageBytes bytes;
    if (payload->offset && origin_.file_offset) {
      bytes.offset = *origin_.file_offset + *payload->offset + storage.offset;
    } else {
      bytes.own(stream.subspan(storage.offset, storage.nbytes));
    }
    StorageClaim claim;
    claim.bytes = claim.view_bytes = storage.nbytes;
    claim.dtype = storage.dtype;
    core_.storages.push_back(
        {.id = {}, .member = origin_.member, .nbytes = storage.nbytes, .device = std::move(storage.location)});
    core_.storage_bytes.push_back(std::move(bytes));
    nested_.emplace(call, std::pair(static_cast<std::uint32_t>(core_.storages.size() - 1), claim));
  }
  std::tie(step.info.storage, step.claim) = nested_.at(call);
  step.info.dtype = step.claim->dtype;
}

void TensorRebuilder::view_of_claim(Step& step, NodeId storage_node) {
  if (tree_.kind(storage_node) == NodeKind::Call && graph_.meaning(storage_node) == Meaning::LoadFromBytes)
    return view_of_nested(step, storage_node);
  step.claim = read_storage_claim(graph_, storage_node, step.where);
  if (!step.claim)
    refuse(step.where, "the tensor's first argument is no storage", "a persistent id of a storage",
           graph_.type_name(storage_node));
  step.info.storage = find_storage_(*step.claim, step.where);
  step.info.dtype = step.claim->dtype;
}

void TensorRebuilder::rebuild_view(Step& step, std::size_t argument_count, NodeId dtype_node, NodeId metadata) {
  if (step.given.size() < argument_count)
    refuse(step.where, "the call that rebuilds the tensor has too few arguments", std::to_string(argument_count),
           std::to_string(step.given.size()));
  view_of_claim(step, step.given[0]);
  TensorInfo& info = step.info;
  if (dtype_node != kNoNode) info.dtype = step.dtype(dtype_node);
  const std::int64_t offset = step.count(step.given[1], "the offset");
  if (offset < 0) refuse(step.where, "the offset of the tensor is negative", "0 or more", std::to_string(offset));
  const auto offset_bits =
      base::checked_multiply(static_cast<std::uint64_t>(offset), static_cast<std::uint64_t>(dtype_bits(info.dtype)));
  const auto from_start = offset_bits ? base::checked_add(*offset_bits / 8, step.claim->view_begin) : std::nullopt;
  if (!from_start) refuse(step.where, "the offset of the tensor passes 2^64 bits");
  info.offset_bytes = *from_start;
  info.shape = step.counts(step.given[2], "the shape");
  info.stride = step.counts(step.given[3], "the stride");
  info.encoding.big_endian = big_endian_ && dtype_bytes(info.dtype) > 1;
  const std::size_t flag = step.call.meaning == Meaning::RebuildQuantized ? 5 : 4;
  if (argument_count > 4 && tree_.kind(step.given[flag]) == NodeKind::Bool)
    info.requires_grad = tree_.boolean(step.given[flag]);
  if (metadata != kNoNode && graph_.is_mapping(metadata))
    for (const auto& [key, value] : graph_.pairs(metadata)) {
      const bool is_set = tree_.kind(value) == NodeKind::Bool && tree_.boolean(value);
      if (graph_.text(key) == "conj") info.encoding.conjugate = is_set;
      if (graph_.text(key) == "neg") info.encoding.negative = is_set;
    }
  const DTypeKind kind = dtype_kind(info.dtype);
  if (info.encoding.negative && kind != DTypeKind::Float && kind != DTypeKind::Complex)
    refuse(step.where, "the tensor is marked as negated, which only floats can be", "float or complex elements",
           std::string(dtype_name(info.dtype)));
  require_whole_bytes(step, *offset_bits);
  require_within_window(step, *offset_bits / 8);
}

// Elements of 4 and 2 bits (quint4x2, quint2x4) can only be cut out of their bytes where they stand one behind the
// other.
void TensorRebuilder::require_whole_bytes(const Step& step, std::uint64_t offset_bits) const {
  const TensorInfo& info = step.info;
  if (dtype_bits(info.dtype) % 8 == 0 || info.shape.size() != info.stride.size()) return;
  TensorView view;
  view.dtype = info.dtype;
  view.shape = info.shape;
  view.stride = info.stride;
  core_.check(info);  // so that the strides below cannot overflow
  if (offset_bits % 8 == 0 && is_dense(view)) return;
  throw Error(Code::Unsupported, step.where, "a view of packed elements does not lie dense on whole bytes",
              base::shape_text(dense_stride(info.shape)), base::shape_text(info.stride),
              "call .contiguous() on the tensor and save it again");
}

// A legacy storage view is a window: (key, offset, count); the storage behind it may be longer.
void TensorRebuilder::require_within_window(const Step& step, std::uint64_t offset_bytes) const {
  const TensorInfo& info = step.info;
  if (step.claim->view_begin == 0 && step.claim->view_bytes == step.claim->bytes) return;
  const bool is_empty = std::find(info.shape.begin(), info.shape.end(), 0) != info.shape.end();
  if (info.shape.size() != info.stride.size() || is_empty) return;
  core_.check(info);  // so that the sum below cannot overflow
  const auto bits = static_cast<std::uint64_t>(dtype_bits(info.dtype));
  std::uint64_t elements = 1;  // up to and with the last one
  for (std::size_t axis = 0; axis < info.shape.size(); ++axis)
    elements += static_cast<std::uint64_t>(info.shape[axis] - 1) * static_cast<std::uint64_t>(info.stride[axis]);
  if (offset_bytes + (elements * bits + 7) / 8 > step.claim->view_bytes)
    refuse(step.where, "the tensor reaches past its view of the storage", base::plural(step.claim->view_bytes, "byte"));
}

void TensorRebuilder::take_row(Step& step, const TensorInfo& known) {
  step.info.dtype = known.dtype;
  step.info.shape = known.shape;
  step.info.stride = known.stride;
  step.info.storage = known.storage;
  step.info.offset_bytes = known.offset_bytes;
}

void TensorRebuilder::rebuild_meta(Step& step) {
  if (step.given.size() < 3)
    refuse(step.where, "the call that rebuilds the tensor has too few arguments", "3",
           std::to_string(step.given.size()));
  step.info.dtype = step.dtype(step.given[0]);
  step.info.shape = step.counts(step.given[1], "the shape");
  step.info.stride = step.counts(step.given[2], "the stride");
  if (step.given.size() > 3 && tree_.kind(step.given[3]) == NodeKind::Bool)
    step.info.requires_grad = tree_.boolean(step.given[3]);
}

void TensorRebuilder::rebuild_bare_storage(Step& step) {
  view_of_claim(step, step.call.node);
  TensorInfo& info = step.info;
  const auto id = tree_.tuple(tree_.persistent_id(step.call.node));
  info.type = graph_.type_name(id[1]);
  info.offset_bytes = step.claim->view_begin;
  if (dtype_bytes(info.dtype) == 0)
    info.dtype = DType::UInt8;  // packed elements have no place without their tensor's shape
  info.shape = {static_cast<std::int64_t>(step.claim->view_bytes / storage_element_bytes(info.dtype))};
  info.stride = {1};
  info.encoding.big_endian = big_endian_ && dtype_bytes(info.dtype) > 1;
}

// ---- numpy: the bytes stand in the pickle itself

std::uint32_t TensorRebuilder::storage_of_payload(const Step& step, NodeId node) {
  const auto known = payloads_.find(node);
  if (known != payloads_.end()) return known->second;
  auto payload = graph_.payload(node);
  if (!payload) refuse(step.where, "the elements of the array are no bytes", "bytes", graph_.type_name(node));
  StorageInfo storage;
  storage.member = origin_.member;
  storage.nbytes = payload->bytes().size();
  StorageBytes bytes;
  if (payload->offset && origin_.file_offset) {
    bytes.offset = *origin_.file_offset + *payload->offset;
  } else {
    bytes.own(base::as_bytes(payload->bytes()));
  }
  core_.storages.push_back(std::move(storage));
  core_.storage_bytes.push_back(std::move(bytes));
  const auto index = static_cast<std::uint32_t>(core_.storages.size() - 1);
  payloads_.emplace(node, index);
  return index;
}

/// joblib: the elements are the last of the bytes behind the object; padding may stand before them.
void TensorRebuilder::place_raw(Step& step, NodeId object) {
  TensorInfo& info = step.info;
  const auto& call = tree_.call(object);
  std::uint64_t nbytes = 0;
  try {
    nbytes = byte_size(info.shape, info.dtype);
  } catch (const Error& overflow) {
    refuse(step.where, overflow.what_happened, overflow.expected, overflow.found);
  }
  if (nbytes > call.raw_bytes)
    refuse(step.where, "the elements of the array are not behind it", base::plural(nbytes, "byte"),
           base::plural(std::uint64_t{call.raw_bytes}, "byte"));
  const std::uint64_t begin = std::uint64_t{call.raw_begin} + call.raw_bytes - nbytes;
  StorageBytes bytes;
  if (origin_.file_offset) {
    bytes.offset = *origin_.file_offset + begin;
  } else {
    bytes.own(tree_.raw(call).last(nbytes));
  }
  info.storage = static_cast<std::uint32_t>(core_.storages.size());
  core_.storages.push_back({.id = {}, .member = origin_.member, .nbytes = nbytes, .device = {}});
  core_.storage_bytes.push_back(std::move(bytes));
}

void TensorRebuilder::rebuild_numpy(Step& step, const PickleGraph::NumpyArray& array, NodeId object) {
  const auto type = graph_.numpy_type(array.dtype);
  const auto dtype = type ? numpy_dtype(type->code) : std::nullopt;
  if (!dtype)
    refuse(step.where, "the array has an unknown dtype", "such as f4",
           type ? type->code : graph_.type_name(array.dtype));
  TensorInfo& info = step.info;
  info.dtype = *dtype;
  info.shape = step.counts(array.shape, "the shape");
  const bool is_negative = std::any_of(info.shape.begin(), info.shape.end(), [](std::int64_t n) { return n < 0; });
  if (is_negative) refuse(step.where, "an extent of the array is negative", "0 or more", base::shape_text(info.shape));
  if (array.data == kNoNode)
    place_raw(step, object);
  else
    info.storage = storage_of_payload(step, array.data);
  info.stride = array.fortran ? column_major(info.shape) : dense_stride(info.shape);
  info.encoding.big_endian = type->big_endian && dtype_bytes(*dtype) > 1;
  if (info.type.empty() && step.call.cast_to == kNoNode) info.type = "numpy.ndarray";
}

// _frombuffer(buffer, dtype, shape, order): protocol 5.
void TensorRebuilder::rebuild_from_buffer(Step& step) {
  if (step.given.size() < 4)
    refuse(step.where, "the call that rebuilds the array has too few arguments", "4",
           std::to_string(step.given.size()));
  PickleGraph::NumpyArray array;
  array.data = step.given[0];
  array.dtype = step.given[1];
  array.shape = step.given[2];
  array.fortran = graph_.text(step.given[3]) == "F";
  rebuild_numpy(step, array, step.call.node);
}

// Device tensors travel as ndarrays, and types that numpy lacks as a wider one: bfloat16 as float32.
void TensorRebuilder::cast_numpy(Step& step, NodeId dtype_node) {
  const DType wanted = step.dtype(dtype_node);
  TensorInfo& info = step.info;
  if (info.dtype == wanted || info.storage == kNoStorage) return;
  TensorView view;
  view.dtype = info.dtype;
  view.shape = info.shape;
  view.stride = info.stride;
  view.storage = core_.bytes_of(info.storage).view;
  view.offset_bytes = info.offset_bytes;
  view.encoding = info.encoding;
  const Tensor made = cast(view, wanted);
  StorageInfo storage;
  storage.member = origin_.member;
  storage.nbytes = made.storage.size();
  StorageBytes bytes;
  bytes.own(made.storage);
  core_.storages.push_back(std::move(storage));
  core_.storage_bytes.push_back(std::move(bytes));
  info.storage = static_cast<std::uint32_t>(core_.storages.size() - 1);
  info.dtype = wanted;
  info.stride = made.stride;
  info.offset_bytes = made.offset_bytes;
  info.encoding = {};
}

}  // namespace tenon::formats
