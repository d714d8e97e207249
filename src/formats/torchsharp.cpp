// TorchSharp
//
//   state dict  count, then for each: name, tensor
//   tensor      type, rank, extents, elements (row-major, little-endian)
//   optimizer   class name, number of groups, number of parameters, options of each group, state of each parameter
//
// Counts, lengths, types and extents are LEB128: seven bits a byte, the lowest first, the eighth says that more follow.
// A name is its length and UTF-8. Options and states are doubles, 64-bit integers, truth values of one byte and tensors
// in an order that the class fixes; a tensor that may be absent has a truth value in front.
//
// Source: TorchSharp, src/TorchSharp/Utils/LEB128Codec.cs, Tensor/TensorExtensionMethods.cs, NN/Module.cs,
// Optimizers/*.cs; src/Python/exportsd.py.
#include "formats/torchsharp.hpp"

#include <algorithm>
#include <bit>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_set>
#include <utility>
#include <vector>

#include "base/cursor.hpp"
#include "base/limit_error.hpp"
#include "base/text.hpp"
#include "base/utf8.hpp"
#include "formats/claimed_count.hpp"

namespace tenon::formats {

namespace {

constexpr std::string_view kNext = "the file is damaged or no TorchSharp file: fetch or save it again";
constexpr std::uint64_t kMostNameBytes = 4'096;

// torch.ScalarType.
constexpr std::pair<std::uint64_t, DType> kTypes[] = {
    {0, DType::UInt8},   {1, DType::Int8},    {2, DType::Int16},   {3, DType::Int32},     {4, DType::Int64},
    {5, DType::Float16}, {6, DType::Float32}, {7, DType::Float64}, {9, DType::Complex64}, {10, DType::Complex128},
    {11, DType::Bool},   {12, DType::QInt8},  {13, DType::QUInt8}, {14, DType::QInt32},   {15, DType::BFloat16},
};
constexpr std::uint64_t kNoType =
    4711;  ///< what TorchSharp's Python exporter writes for a type that it has no number for

std::optional<DType> type_of(std::uint64_t number) {
  for (const auto& [known, dtype] : kTypes)
    if (known == number) return dtype;
  return std::nullopt;
}

/// A field of an optimizer's options or states.
struct Field {
  enum class Kind { Real, Integer, Bool, Tensor, MaybeTensor };
  Kind kind;
  std::string_view name;
};
using enum Field::Kind;

struct Optimizer {
  std::string_view name;
  std::vector<Field> options;  ///< behind initial_lr and lr
  std::vector<Field> state;
};

const std::vector<Optimizer>& optimizers() {
  static const std::vector<Optimizer> kOptimizers = {
      {"Adam",
       {{Real, "beta1"}, {Real, "beta2"}, {Real, "eps"}, {Real, "weight_decay"}, {Bool, "amsgrad"}, {Bool, "maximize"}},
       {{Integer, "step"}, {Tensor, "exp_avg"}, {Tensor, "exp_avg_sq"}, {MaybeTensor, "max_exp_avg_sq"}}},
      {"AdamW",
       {{Real, "beta1"}, {Real, "beta2"}, {Real, "eps"}, {Real, "weight_decay"}, {Bool, "amsgrad"}, {Bool, "maximize"}},
       {{Integer, "step"}, {Tensor, "exp_avg"}, {Tensor, "exp_avg_sq"}, {MaybeTensor, "max_exp_avg_sq"}}},
      {"Adamax",
       {{Real, "beta1"}, {Real, "beta2"}, {Real, "eps"}, {Real, "weight_decay"}},
       {{Integer, "step"}, {Tensor, "exp_avg"}, {Tensor, "exp_inf"}}},
      {"NAdam",
       {{Real, "beta1"}, {Real, "beta2"}, {Real, "eps"}, {Real, "weight_decay"}, {Real, "momentum_decay"}},
       {{Integer, "step"}, {Real, "mu_product"}, {Tensor, "exp_avg"}, {Tensor, "exp_avg_sq"}}},
      {"RAdam",
       {{Real, "beta1"}, {Real, "beta2"}, {Real, "eps"}, {Real, "weight_decay"}},
       {{Integer, "step"}, {Tensor, "exp_avg"}, {Tensor, "exp_avg_sq"}}},
      {"Adadelta",
       {{Real, "rho"}, {Real, "eps"}, {Real, "weight_decay"}, {Bool, "maximize"}},
       {{Integer, "step"}, {Tensor, "square_avg"}, {Tensor, "acc_delta"}}},
      {"Adagrad",
       {{Real, "lr_decay"}, {Real, "initial_accumulator_value"}, {Real, "eps"}, {Real, "weight_decay"}},
       {{Integer, "step"}, {Tensor, "sum"}}},
      {"ASGD",
       {{Bool, "maximize"}, {Real, "lambd"}, {Real, "alpha"}, {Real, "weight_decay"}, {Real, "t0"}},
       {{Integer, "step"}, {Real, "eta"}, {Real, "mu"}, {Tensor, "ax"}}},
      {"RMSProp",
       {{Bool, "maximize"},
        {Real, "momentum"},
        {Real, "alpha"},
        {Real, "eps"},
        {Real, "weight_decay"},
        {Bool, "centered"}},
       {{Integer, "step"}, {Tensor, "square_avg"}, {MaybeTensor, "momentum_buffer"}, {MaybeTensor, "grad_avg"}}},
      {"Rprop",
       {{Bool, "maximize"}, {Real, "etaminus"}, {Real, "etaplus"}, {Real, "min_step"}, {Real, "max_step"}},
       {{Integer, "step"}, {Tensor, "prev"}, {Tensor, "step_size"}}},
      {"SGD",
       {{Real, "momentum"}, {Real, "dampening"}, {Real, "weight_decay"}, {Bool, "nesterov"}, {Bool, "maximize"}},
       {{MaybeTensor, "momentum_buffer"}}},
  };
  return kOptimizers;
}

/// The optimizer whose class name the file begins with.
const Optimizer* optimizer_of(std::string_view head) {
  for (const Optimizer& known : optimizers())
    if (head.size() > known.name.size() && static_cast<unsigned char>(head[0]) == known.name.size() &&
        head.substr(1).starts_with(known.name))
      return &known;
  return nullptr;
}

/// A name that a module's parameter can have.
bool is_name(std::string_view name) {
  const auto is_control = [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7F; };
  return !name.empty() && name.size() <= kMostNameBytes && std::none_of(name.begin(), name.end(), is_control) &&
         base::is_utf8(name);
}

class Reader {
 public:
  Reader(std::span<const std::byte> bytes, std::string file, const Limits& limits)
      : in_(bytes, std::move(file)), limits_(limits) {}

  base::Cursor& in() { return in_; }
  bool at_end() const { return in_.at_end(); }

  std::uint64_t number(std::string_view field) {
    const std::uint64_t at = in_.position();
    std::uint64_t value = 0;
    for (int shift = 0;; shift += 7) {
      const std::uint8_t byte = in_.u8(field);
      if (shift > 56)  // .NET's long has 63 bits and its encoder writes nine bytes at most
        throw in_.error_at(at, Code::Corrupt, std::string(field) + " is too great", "fewer than 2^63", {},
                           std::string(kNext));
      value |= std::uint64_t{byte & 0x7FU} << shift;
      if ((byte & 0x80U) == 0) return value;
    }
  }

  std::string_view name(std::string_view field) {
    const std::uint64_t at = in_.position();
    const std::uint64_t bytes = number("the length of " + std::string(field));
    const std::string_view found = in_.text(bytes, field);
    if (!is_name(found))
      throw in_.error_at(at, Code::Corrupt, std::string(field) + " is no text", "UTF-8 without control characters",
                         base::escape_for_terminal(found.substr(0, 40)), std::string(kNext));
    return found;
  }

  std::uint64_t count(std::string_view things, std::uint64_t least_bytes) {
    const std::uint64_t at = in_.position();
    const std::uint64_t found = number("the number of " + std::string(things));
    return claimed_count(in_, at, found, things, least_bytes, limits_, kNext);
  }

  /// Dtype and shape of a tensor; its elements are `nbytes` from `offset` on, and are passed over.
  struct Block {
    TensorInfo info;
    std::uint64_t offset = 0, nbytes = 0;
  };
  Block tensor(const std::string& key) {
    Block block;
    block.info.name = key;
    const std::uint64_t at = in_.position();
    const std::uint64_t type = number("the type of a tensor");
    const auto dtype = type_of(type);
    if (!dtype)
      throw Error(type == kNoType ? Code::Unsupported : Code::Corrupt, Where{in_.file(), {}, key, at},
                  type == kNoType ? "the exporter had no number for the type of the tensor"
                                  : "the type of the tensor is unknown",
                  "0 to 7, 9 to 15", std::to_string(type), std::string(kNext));
    block.info.dtype = *dtype;
    const std::uint64_t rank = number("the rank of a tensor");
    if (rank > limits_.tensor_rank)
      throw base::limit_error({in_.file(), {}, key, at}, "the tensor has too many dimensions",
                              {&Limits::tensor_rank, limits_}, std::to_string(rank));
    for (std::uint64_t i = 0; i < rank; ++i) block.info.shape.push_back(static_cast<std::int64_t>(number("an extent")));
    try {
      block.nbytes = byte_size(block.info.shape, *dtype);
    } catch (const Error& overflow) {
      throw Error(Code::Corrupt, Where{in_.file(), {}, key, at}, overflow.what_happened, overflow.expected,
                  overflow.found, std::string(kNext));
    }
    block.info.stride = dense_stride(block.info.shape);
    block.offset = in_.position();
    if (block.nbytes > in_.remaining())
      throw Error(Code::Corrupt, Where{in_.file(), {}, key, block.offset}, "the file ends within the tensor",
                  base::plural(block.nbytes, "byte"), base::plural(in_.remaining(), "byte"),
                  "the file is cut short: fetch or save it again");
    in_.skip(block.nbytes, "a tensor");
    return block;
  }

 private:
  base::Cursor in_;
  const Limits& limits_;
};

class SharpFile {
 public:
  explicit SharpFile(const OpenRequest& request)
      : reader_(request.file->bytes(), request.path, request.options.limits),
        core_(std::make_shared<CheckpointCore>()) {
    core_->file = request.path;
    core_->format = Format::TorchSharp;
    core_->producer = "TorchSharp";
    core_->file_bytes = request.file->size();
    core_->files = {request.file};
    core_->salvage = request.options.salvage;
    core_->limits = request.options.limits;
  }

  std::shared_ptr<CheckpointCore> state_dict() {
    add_container({}, "dict", 0, {}, false);
    const std::uint64_t count = reader_.count("tensors", 4);
    std::unordered_set<std::string_view> names;
    for (std::uint64_t i = 0; i < count; ++i) {
      const std::uint64_t at = reader_.in().position();
      const std::string_view name = reader_.name("the name of a tensor");
      if (!names.insert(name).second)
        throw Error(Code::Corrupt, Where{core_->file, {}, std::string(name), at}, "a name stands twice", {}, {},
                    std::string(kNext));
      if (!add_tensor(0, std::string(name), {})) break;
    }
    return finish();
  }

  std::shared_ptr<CheckpointCore> bare_tensor() {
    add_container({}, "torch.Tensor", 0, {}, false);
    core_->containers[0].kind = ContainerKind::TensorParts;
    add_tensor(0, {}, {});
    return finish();
  }

  std::shared_ptr<CheckpointCore> optimizer(const Optimizer& kind) {
    reader_.name("the class of the optimizer");
    add_container({}, std::string(kind.name), 0, {}, false);
    const std::uint64_t groups = reader_.count("groups", 16), states = reader_.count("states", 1);
    std::vector<Field> options = {{Real, "initial_lr"}, {Real, "lr"}};
    options.insert(options.end(), kind.options.begin(), kind.options.end());
    read_records("param_groups", groups, options);
    read_records("state", states, kind.state);
    return finish();
  }

 private:
  void read_records(const std::string& list, std::uint64_t count, const std::vector<Field>& fields) {
    const std::uint32_t parent = add_container(list, "list", 0, list, false);
    for (std::uint64_t i = 0; i < count; ++i) {
      const std::string key = std::to_string(i);
      const std::uint32_t record = add_container(list + "." + key, "dict", parent, key, true);
      for (const Field& field : fields) read_field(record, field);
    }
  }

  void read_field(std::uint32_t record, const Field& field) {
    const std::string name(field.name);
    base::Cursor& in = reader_.in();
    switch (field.kind) {
      case Real: return add_object(record, name, {std::bit_cast<double>(in.u64(name))});
      case Integer: return add_object(record, name, {in.i64(name)});
      case Bool: return add_object(record, name, {truth(name)});
      case Tensor: add_tensor(record, name, core_->containers[record].path); return;
      case MaybeTensor:
        if (truth(name)) add_tensor(record, name, core_->containers[record].path);
        return;
    }
  }

  bool truth(const std::string& name) {
    const std::uint64_t at = reader_.in().position();
    const std::uint8_t byte = reader_.in().u8(name);
    if (byte > 1)
      throw reader_.in().error_at(at, Code::Corrupt, "a truth value is neither 0 nor 1", "0 or 1", std::to_string(byte),
                                  std::string(kNext));
    return byte == 1;
  }

  std::uint32_t add_container(std::string path, std::string type, std::uint32_t parent, std::string key, bool integer) {
    core_->containers.push_back({.path = std::move(path),
                                 .type = std::move(type),
                                 .parent = parent,
                                 .key = std::move(key),
                                 .integer_key = integer});
    return static_cast<std::uint32_t>(core_->containers.size() - 1);
  }

  void add_object(std::uint32_t container, const std::string& key, Value value) {
    Object object;
    object.name = core_->containers[container].path + "." + key;
    object.key_begin = static_cast<std::uint32_t>(object.name.size() - key.size());
    object.value = std::move(value);
    object.container = container;
    core_->objects.push_back(std::move(object));
  }

  /// False where the tensor is cut and salvage was asked for: nothing can be found behind it.
  bool add_tensor(std::uint32_t container, const std::string& key, const std::string& path) {
    const std::string name = path.empty() ? key : path + "." + key;
    try {
      Reader::Block block = reader_.tensor(name);
      TensorInfo& info = core_->tensors.emplace_back(std::move(block.info));
      info.container = container;
      info.key_begin = static_cast<std::uint32_t>(name.size() - key.size());
      info.storage = static_cast<std::uint32_t>(core_->storages.size());
      core_->storages.push_back(
          {.id = std::to_string(info.storage), .member = {}, .nbytes = block.nbytes, .device = {}});
      core_->storage_bytes.emplace_back().offset = block.offset;
      core_->check(info);
      ++core_->containers[container].tensor_count;
      return true;
    } catch (const Error& error) {
      if (core_->salvage == Salvage::No) throw;
      core_->warnings.push_back(std::string("left out, with all behind it: ") + error.what());
      reader_.in().seek(reader_.in().position() + reader_.in().remaining());
      return false;
    }
  }

  std::shared_ptr<CheckpointCore> finish() {
    if (!reader_.at_end())
      throw reader_.in().error(Code::Corrupt, "bytes follow the last entry", "the end of the file",
                               base::plural(reader_.in().remaining(), "byte"), std::string(kNext));
    return std::move(core_);
  }

  Reader reader_;
  std::shared_ptr<CheckpointCore> core_;
};

enum class Kind { None, StateDict, BareTensor, Optimizer };

bool is_bare_tensor(std::span<const std::byte> bytes, const Limits& limits) {
  Reader reader(bytes, {}, limits);
  reader.tensor({});
  return reader.at_end();
}

/// Two entries that make sense are no accident; fewer must be the whole file.
bool is_state_dict(std::span<const std::byte> bytes, const Limits& limits) {
  Reader reader(bytes, {}, limits);
  const std::uint64_t count = reader.count("tensors", 4), looked_at = std::min<std::uint64_t>(count, 2);
  for (std::uint64_t i = 0; i < looked_at; ++i) {
    const std::string name(reader.name("a name"));
    try {
      reader.tensor(name);
    } catch (const Error& error) {  // a file that is cut within an element is still one of these
      return i > 0 && error.where.key == name && error.what_happened == "the file ends within the tensor";
    }
  }
  return count > looked_at || (count > 0 && reader.at_end());
}

bool makes_sense(std::span<const std::byte> bytes, bool (*is_kind)(std::span<const std::byte>, const Limits&)) {
  try {
    return is_kind(bytes, {});
  } catch (const Error&) {  // not this one
    return false;
  }
}

Kind kind_of(std::span<const std::byte> bytes) {
  if (bytes.size() < 3) return Kind::None;
  if (optimizer_of(base::as_text(bytes.first(std::min<std::size_t>(bytes.size(), 32)))) != nullptr)
    return Kind::Optimizer;
  if (makes_sense(bytes, is_state_dict)) return Kind::StateDict;
  return makes_sense(bytes, is_bare_tensor) ? Kind::BareTensor : Kind::None;
}

}  // namespace

bool looks_like_torchsharp(std::span<const std::byte> bytes) { return kind_of(bytes) != Kind::None; }

std::shared_ptr<CheckpointCore> open_torchsharp(const OpenRequest& request) {
  const std::span<const std::byte> bytes = request.file->bytes();
  switch (kind_of(bytes)) {
    case Kind::Optimizer:
      return SharpFile(request).optimizer(
          *optimizer_of(base::as_text(bytes.first(std::min<std::size_t>(bytes.size(), 32)))));
    case Kind::BareTensor: return SharpFile(request).bare_tensor();
    case Kind::StateDict:
    case Kind::None: break;
  }
  return SharpFile(request).state_dict();
}

}  // namespace tenon::formats
