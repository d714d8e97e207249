// ONNX
//
//   ModelProto      1 ir_version   2 producer_name   3 producer_version   7 graph   8 opset_import
//                   14 metadata_props {1 key, 2 value}   20 training_info   25 functions
//   GraphProto      1 node   5 initializer: TensorProto   15 sparse_initializer
//   NodeProto       2 output   3 name   4 op_type   5 attribute
//   AttributeProto  1 name   5 t   6 g   10 tensors   11 graphs   22 sparse_tensor   23 sparse_tensors
//   SparseTensor    1 values   2 indices   3 dims
//
// An initializer is listed by its own name, in whichever graph it stands. A tensor that is an attribute (of a Constant,
// a ConstantOfShape, ...) is listed as OUTPUT.<attr:NAME>, below the names of the nodes whose graphs it stands in.
// Source: onnx/onnx.proto of the ONNX project.
#include "formats/onnx.hpp"

#include <algorithm>
#include <filesystem>
#include <map>
#include <utility>

#include "base/checked.hpp"
#include "base/limit_error.hpp"
#include "base/text.hpp"
#include "base/utf8.hpp"
#include "formats/onnx_tensor.hpp"
#include "formats/side_file.hpp"

namespace tenon::formats {

namespace {

using container::WireField;
using container::WireReader;
using container::WireType;

/// Which wire type a known field of ModelProto has; nothing for others.
std::optional<WireType> model_field(std::uint32_t number) {
  switch (number) {
    case 1:
    case 5: return WireType::Varint;
    case 2:
    case 3:
    case 4:
    case 6:
    case 7:
    case 8:
    case 14:
    case 20:
    case 25:
    case 26: return WireType::Bytes;
    default: return std::nullopt;
  }
}

/// One varint at `at`, which moves behind it; nothing where the bytes end.
std::optional<std::uint64_t> varint_at(std::span<const std::byte> bytes, std::size_t& at) {
  std::uint64_t number = 0;
  for (int shift = 0; shift < 63 && at < bytes.size(); shift += 7) {
    const auto byte = std::to_integer<std::uint64_t>(bytes[at++]);
    number |= (byte & 0x7F) << shift;
    if (byte < 0x80) return number;
  }
  return std::nullopt;
}

/// The first field is a node, a name, a tensor, an input, ...: all of them lengths and bytes.
bool begins_as_graph(std::span<const std::byte> bytes) {
  constexpr int kFields[] = {1, 2, 5, 10, 11, 12, 13, 14, 15};
  const int tag = bytes.empty() ? 0 : std::to_integer<int>(bytes[0]);
  return (tag & 7) == 2 && std::find(std::begin(kFields), std::end(kFields), tag >> 3) != std::end(kFields);
}

class ModelReader {
 public:
  explicit ModelReader(const OpenRequest& request)
      : request_(request), core_(std::make_shared<CheckpointCore>()), side_files_(request.path, request.options.mode) {
    core_->file = request.path;
    core_->format = Format::Onnx;
    core_->file_bytes = request.file->size();
    core_->files = {request.file};
    core_->salvage = request.options.salvage;
    core_->limits = request.options.limits;
    core_->containers.push_back({.path = {}, .type = "dict", .parent = 0, .key = {}});
  }

  std::shared_ptr<CheckpointCore> open() {
    const OnnxMessage model = message(request_.file->bytes(), 0);
    WireReader in = model.reader();
    while (const auto field = in.next()) take_model_field(*field);
    finish();
    return std::move(core_);
  }

 private:
  OnnxMessage message(std::span<const std::byte> bytes, std::uint64_t at) const {
    return {bytes, at, request_.path, core_->limits};
  }

  /// The message in a field. Fields of other wire types than their number says are forged: protobuf itself would skip
  /// them, and so hide what they hold.
  OnnxMessage message(const WireField& field) const {
    if (field.type != WireType::Bytes)
      throw Error(Code::Corrupt, {request_.path, {}, {}, field.at},
                  "a field of the model has another wire type than its number says", "2",
                  std::to_string(static_cast<int>(field.type)), "the file is damaged or forged: fetch it again");
    return message(field.bytes, field.bytes_at);
  }

  std::string text(const WireField& field) const {
    (void)message(field);
    return base::to_valid_utf8(field.text());
  }

  void take_model_field(const WireField& field) {
    switch (field.number) {
      case 1: core_->format_version = std::to_string(field.value); return;
      case 2: producer_ = text(field); return;
      case 3: producer_version_ = text(field); return;
      case 7: return read_graph(message(field), {}, 2);
      case 8: return read_opset(message(field));
      case 14: return read_metadata(message(field));
      case 20: ++training_graphs_; return;
      case 25: ++functions_; return;
      default: return;
    }
  }

  void finish() {
    if (!producer_.empty()) core_->producer = producer_ + (producer_version_.empty() ? "" : " " + producer_version_);
    if (!opsets_.empty()) core_->metadata.emplace_back("opset_import", opsets_);
    if (functions_ > 0)
      core_->warnings.push_back(base::plural(functions_, "function") +
                                " of the model's own: constants in their bodies are not listed");
    if (training_graphs_ > 0) core_->warnings.push_back("the model's training graphs are not listed");
  }

  void read_opset(const OnnxMessage& opset) {
    WireReader in = opset.reader();
    std::string domain = "ai.onnx";
    std::uint64_t version = 0;
    while (const auto field = in.next()) {
      if (field->number == 1 && field->type == WireType::Bytes && !field->bytes.empty()) domain = text(*field);
      if (field->number == 2) version = field->value;
    }
    if (opsets_.size() > core_->limits.zip_name_bytes) return;
    opsets_ += (opsets_.empty() ? "" : ", ") + domain + " " + std::to_string(version);
  }

  void read_metadata(const OnnxMessage& pair) {
    WireReader in = pair.reader();
    std::string key, value;
    while (const auto field = in.next()) {
      if (field->number == 1) key = text(*field);
      if (field->number == 2) value = text(*field);
    }
    core_->metadata.emplace_back(std::move(key), std::move(value));
  }

  void require_depth(const OnnxMessage& at, std::uint64_t depth) const {
    if (depth > core_->limits.protobuf_depth)
      throw base::limit_error({request_.path, {}, {}, at.at}, "messages are nested too deeply",
                              {&Limits::protobuf_depth, core_->limits});
  }

  /// `prefix` is "" or ends with a dot.
  void read_graph(const OnnxMessage& graph, const std::string& prefix, std::uint64_t depth) {
    require_depth(graph, depth);
    WireReader in = graph.reader();
    while (const auto field = in.next()) {
      if (field->number == 1) read_node(message(*field), prefix, depth + 1);
      if (field->number == 5) read_tensor(message(*field), {}, 0);
      if (field->number == 15) read_sparse(message(*field), {});
    }
  }

  void read_node(const OnnxMessage& node, const std::string& prefix, std::uint64_t depth) {
    std::optional<std::string> output;
    std::string name, op_type;
    bool has_attribute = false;
    WireReader first = node.reader();
    while (const auto field = first.next()) {
      if (field->number == 2 && !output) output = text(*field);
      if (field->number == 3) name = text(*field);
      if (field->number == 4) op_type = text(*field);
      has_attribute = has_attribute || field->number == 5;
    }
    if (!has_attribute) return;
    const std::uint64_t own_bytes = std::max({name.size(), op_type.size(), output.value_or("").size()});
    require_length(prefix.size() + own_bytes, !prefix.empty(), node.at);
    const Node place{prefix + output.value_or(name) + ".", prefix + (name.empty() ? op_type : name) + "."};
    WireReader second = node.reader();
    while (const auto field = second.next())
      if (field->number == 5) read_attribute(message(*field), place, depth + 1);
  }

  /// What stands in front of the names below a node.
  struct Node {
    std::string tensors, graphs;
  };

  void read_attribute(const OnnxMessage& attribute, const Node& node, std::uint64_t depth) {
    require_depth(attribute, depth);
    std::string name;
    WireReader first = attribute.reader();
    while (const auto field = first.next())
      if (field->number == 1) name = "<attr:" + text(*field) + ">";
    std::uint64_t position = 0;
    WireReader second = attribute.reader();
    while (const auto field = second.next()) {
      const auto numbered = [&] { return node.tensors + name + "." + std::to_string(position++); };
      if (field->number == 5) read_tensor(message(*field), node.tensors + name, 0);
      if (field->number == 10) read_tensor(message(*field), numbered(), 0);
      if (field->number == 22) read_sparse(message(*field), node.tensors + name);
      if (field->number == 23) read_sparse(message(*field), numbered());
      if (field->number == 6 || field->number == 11) read_graph(message(*field), node.graphs, depth + 1);
    }
  }

  /// Values and indices, each a tensor of its own below the name of the whole.
  void read_sparse(const OnnxMessage& sparse, const std::string& given) {
    std::optional<OnnxMessage> values, indices;
    Shape dims;
    WireReader in = sparse.reader();
    while (const auto field = in.next()) {
      if (field->number == 1) values.emplace(message(*field));
      if (field->number == 2) indices.emplace(message(*field));
      if (field->number == 3) read_extents(*field, dims);
    }
    if (!values || !indices)
      throw Error(Code::Corrupt, {request_.path, {}, given, sparse.at}, "parts of a sparse tensor are missing",
                  "values and indices", {}, "the file is damaged or forged: fetch it again");
    const std::string name = given.empty() ? read_onnx_tensor(*values).name : given;
    require_length(name.size(), false, sparse.at);
    core_->containers.push_back(
        {.path = name, .kind = ContainerKind::TensorParts, .type = "onnx.sparse", .parent = 0, .key = name});
    const auto container = static_cast<std::uint32_t>(core_->containers.size() - 1);
    read_tensor(*indices, "<indices>", container);
    read_tensor(*values, "<values>", container);
    add_size(dims, container);
  }

  void read_extents(const WireField& field, Shape& dims) const {
    if (field.type == WireType::Varint) dims.push_back(static_cast<std::int64_t>(field.value));
    if (field.type != WireType::Bytes) return;
    WireReader packed(field.bytes, request_.path, field.bytes_at, core_->limits);
    while (!packed.at_end()) dims.push_back(static_cast<std::int64_t>(packed.varint()));
  }

  void add_size(const Shape& dims, std::uint32_t container) {
    Sequence size{.type = "tuple", .items = {}};
    for (const std::int64_t extent : dims) size.items.push_back({extent});
    const std::string path = core_->containers[container].path;
    Object object;
    object.name = path + ".<size>";
    object.value.is = std::move(size);
    object.container = container;
    object.key_begin = static_cast<std::uint32_t>(path.size() + 1);
    core_->objects.push_back(std::move(object));
  }

  /// Lists a tensor under `key`, or under its own name where none is given.
  void read_tensor(const OnnxMessage& proto, const std::string& key, std::uint32_t container) {
    require_length(key.size(), true, proto.at);
    try {
      const OnnxTensor tensor = read_onnx_tensor(proto);
      add_row(tensor, key.empty() ? tensor.name : key, container, proto.at);
    } catch (const Error& error) {
      if (core_->salvage == Salvage::No) throw;
      core_->warnings.push_back(std::string("left out: ") + error.what());
    }
  }

  void add_row(const OnnxTensor& tensor, const std::string& key, std::uint32_t container, std::uint64_t at) {
    const std::string& path = core_->containers[container].path;
    TensorInfo row;
    row.name = container == 0 ? key : path + "." + key;
    require_length(row.name.size(), false, at);
    row.key_begin = static_cast<std::uint32_t>(row.name.size() - key.size());
    row.container = container;
    row.dtype = tensor.dtype;
    row.shape = tensor.shape;
    row.stride = dense_stride(tensor.shape);
    row.storage = add_storage(tensor, row.name, at);
    core_->check(row);
    core_->tensors.push_back(std::move(row));
    ++core_->containers[container].tensor_count;
  }

  std::uint32_t add_storage(const OnnxTensor& tensor, const std::string& name, std::uint64_t at) {
    if (tensor.dtype == DType::String) return kNoStorage;
    StorageInfo info{.id = {}, .member = {}, .nbytes = tensor.nbytes(), .device = {}};
    StorageBytes bytes;
    bytes.offset = tensor.bytes_at;
    bytes.packed_bytes = tensor.bytes.size();
    if (tensor.home == OnnxTensor::Home::External) place_outside(tensor, {request_.path, {}, name, at}, info, bytes);
    const bool is_packed = tensor.home == OnnxTensor::Home::External && is_packed_onnx(tensor.code);
    if (tensor.home == OnnxTensor::Home::Encoded || is_packed) {
      const auto count = static_cast<std::uint64_t>(element_count(tensor.shape));
      bytes.derive_by([code = tensor.code, field = std::max(tensor.encoded_field, 0),
                       count](std::span<const std::byte> stored) { return decode_onnx(stored, code, field, count); });
    }
    core_->storages.push_back(std::move(info));
    core_->storage_bytes.push_back(std::move(bytes));
    return static_cast<std::uint32_t>(core_->storages.size() - 1);
  }

  void place_outside(const OnnxTensor& tensor, const Where& where, StorageInfo& info, StorageBytes& bytes) {
    const auto file = side_files_.open(tensor.external.location, where);
    const auto end = base::checked_add(tensor.external.offset, tensor.raw_bytes);
    if (!end || *end > file->size())
      throw Error(Code::Corrupt, where, "the tensor's external data reach past the end of their file",
                  "at most byte " + std::to_string(file->size()) + " of " + tensor.external.location,
                  end ? "byte " + std::to_string(*end) : "beyond 2^64", "the file is cut short: fetch it again");
    const auto known = std::find(core_->files.begin(), core_->files.end(), file);
    bytes.file = static_cast<std::uint32_t>(known - core_->files.begin());
    if (known == core_->files.end()) core_->files.push_back(file);
    bytes.offset = tensor.external.offset;
    bytes.packed_bytes = tensor.raw_bytes;
    info.member = tensor.external.location;
  }

  /// Names have the limit that names in archives have, and a lower one where they repeat those of the nodes around
  /// them: a small file could ask for much.
  void require_length(std::uint64_t name_bytes, bool repeats, std::uint64_t at) const {
    const base::NamedLimit limit{repeats ? &Limits::npy_name_bytes : &Limits::zip_name_bytes, core_->limits};
    if (name_bytes <= limit.most) return;
    throw base::limit_error({request_.path, {}, {}, at}, "the name of a tensor or node is too long", limit,
                            base::plural(name_bytes, "byte"));
  }

  const OpenRequest& request_;
  std::shared_ptr<CheckpointCore> core_;
  SideFiles side_files_;
  std::string producer_, producer_version_, opsets_;
  std::uint64_t functions_ = 0, training_graphs_ = 0;
};

}  // namespace

bool looks_like_onnx(std::span<const std::byte> bytes) {
  constexpr int kMostFields = 64;  // before the graph; writers put two to eight there
  std::size_t at = 0;
  for (int i = 0; i < kMostFields; ++i) {
    const auto tag = varint_at(bytes, at);
    if (!tag || *tag > 0xFFFF) return false;
    const auto number = static_cast<std::uint32_t>(*tag >> 3);
    const auto type = model_field(number);
    if (!type || *type != static_cast<WireType>(*tag & 7)) return false;
    const auto value = varint_at(bytes, at);
    if (!value) return false;
    if (number == 1 && *value > 1'000) return false;
    if (*type == WireType::Varint) continue;
    if (number == 7) return *value == 0 ? i > 0 && at == bytes.size() : begins_as_graph(bytes.subspan(at));
    if (*value > bytes.size() - at) return false;
    at += *value;
  }
  return false;
}

std::shared_ptr<CheckpointCore> open_onnx(const OpenRequest& request) { return ModelReader(request).open(); }

}  // namespace tenon::formats
