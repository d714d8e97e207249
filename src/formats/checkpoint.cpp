#include <tenon/checkpoint.hpp>

#include <algorithm>
#include <utility>

#include "base/limit_error.hpp"
#include "base/moved_error.hpp"
#include "base/text.hpp"
#include "formats/core.hpp"

namespace tenon {

namespace {

constexpr std::pair<Format, std::string_view> kFormatNames[] = {
    {Format::PytorchZip, "pytorch-zip"},
    {Format::PytorchLegacy, "pytorch-legacy"},
    {Format::PytorchTar, "pytorch-tar"},
    {Format::TorchScript, "torchscript"},
    {Format::LibtorchArchive, "libtorch-archive"},
    {Format::TorchDcp, "torch-dcp"},
    {Format::Safetensors, "safetensors"},
    {Format::SafetensorsSharded, "safetensors-sharded"},
    {Format::PytorchSharded, "pytorch-sharded"},
    {Format::Gguf, "gguf"},
    {Format::Npz, "npz"},
    {Format::Npy, "npy"},
    {Format::Onnx, "onnx"},
    {Format::Pickle, "pickle"},
    {Format::Zip, "zip"},
    {Format::Tar, "tar"},
    {Format::Hdf5, "hdf5"},
    {Format::KerasH5, "keras-h5"},
    {Format::KerasV3, "keras-v3"},
    {Format::FlaxMsgpack, "flax-msgpack"},
    {Format::TfBundle, "tf-bundle"},
    {Format::TorchSharp, "torchsharp"},
};

}  // namespace

std::string_view format_name(Format format) {
  for (const auto& [known, name] : kFormatNames)
    if (known == format) return name;
  throw Bug("unknown Format");
}

Checkpoint::Checkpoint(std::shared_ptr<const formats::CheckpointCore> core) : core_(std::move(core)) {}

const std::string& Checkpoint::file() const { return core_->file; }
Format Checkpoint::format() const { return core_->format; }
const std::string& Checkpoint::format_version() const { return core_->format_version; }
const std::optional<std::string>& Checkpoint::producer() const { return core_->producer; }
std::uint64_t Checkpoint::file_bytes() const { return core_->file_bytes; }
std::span<const TensorInfo> Checkpoint::tensors() const { return core_->tensors; }
std::span<const Container> Checkpoint::containers() const { return core_->containers; }
std::span<const StorageInfo> Checkpoint::storages() const { return core_->storages; }
std::span<const Object> Checkpoint::objects() const { return core_->objects; }
std::span<const std::pair<std::string, std::string>> Checkpoint::metadata() const { return core_->metadata; }
std::span<const std::string> Checkpoint::warnings() const { return core_->warnings; }
const std::string& Checkpoint::blueprint_json() const { return core_->blueprint_json; }
std::optional<std::size_t> Checkpoint::find(std::string_view name) const { return core_->find(name); }

namespace {

/// A storage knows its member, and here the tensor's name is known: both are said.
template <class Work>
void naming(const TensorInfo& row, const Work& work) {
  try {
    work();
  } catch (Error& error) {
    if (!error.where.key.empty()) throw;
    throw base::moved_error(error, {error.where.file, error.where.member, row.name, error.where.byte});
  }
}

bool is_a_whole_storage(const TensorInfo& row, std::span<const StorageInfo> storages) {
  if (row.storage == kNoStorage || row.dtype == DType::String || row.dtype == DType::Unknown) return false;
  return row.offset_bytes == 0 && row.encoding.is_plain() && row.stride == dense_stride(row.shape) &&
         storages[row.storage].nbytes == byte_size(row.shape, row.dtype);
}

}  // namespace

Tensor Checkpoint::tensor(std::size_t index) const {
  TENON_ASSERT(index < core_->tensors.size());
  const TensorInfo& row = core_->tensors[index];
  if (row.dtype == DType::String)
    throw Error(Code::Unsupported, {core_->file, {}, row.name, {}}, "the tensor holds text, which has no fixed width",
                {}, {}, "only its shape is known; --drop-objects leaves it out");
  if (row.storage == kNoStorage)
    throw Error(Code::Unsupported, {core_->file, {}, row.name, {}},
                "the tensor has no bytes: it was saved from the meta device", {}, {},
                "only its shape and dtype are known; save it again from a real device");
  if (row.dtype == DType::Unknown)
    throw Error(Code::Unsupported, {core_->file, {}, row.name, {}}, "the tensor is of a type that tenon does not know",
                {}, {}, "only its shape and size are known");
  const std::uint64_t dense_bytes = byte_size(row.shape, row.dtype);
  if (dense_bytes > std::max(core_->storages[row.storage].nbytes, core_->limits.expanded_view_bytes))
    throw base::limit_error({core_->file, {}, row.name, {}}, "the tensor is a view that repeats its bytes too often",
                            {&Limits::expanded_view_bytes, core_->limits}, base::bytes_text(dense_bytes),
                            "it can be listed; its values are not written out");
  Tensor tensor;
  tensor.dtype = row.dtype;
  tensor.shape = row.shape;
  tensor.stride = row.stride;
  tensor.offset_bytes = row.offset_bytes;
  tensor.encoding = row.encoding;
  naming(row, [&] {
    const formats::HeldBytes held = core_->bytes_of(row.storage);
    tensor.storage = held.view;
    tensor.owner = held.owner ? held.owner : core_;
  });
  return tensor;
}

void Checkpoint::read(std::size_t index, std::span<std::byte> out) const {
  TENON_ASSERT(index < core_->tensors.size());
  const TensorInfo& row = core_->tensors[index];
  if (!is_a_whole_storage(row, core_->storages)) return copy_dense(tensor(index), out);
  TENON_ASSERT(out.size() == byte_size(row.shape, row.dtype));
  naming(row, [&] { core_->read(row.storage, out); });
}

Tensor Checkpoint::tensor(std::string_view name) const {
  if (const auto index = find(name)) return tensor(*index);
  std::vector<std::string_view> names;
  names.reserve(core_->tensors.size());
  for (const TensorInfo& row : core_->tensors) names.push_back(row.name);
  const std::vector<std::string> nearest = base::nearest(name, names, 3);
  throw Error(Code::NotFound, {core_->file, {}, std::string(name), {}}, "the checkpoint holds no tensor of that name",
              std::string(name),
              nearest.empty() ? base::plural(names.size(), "tensor") : "near it: " + base::join(nearest, ", "),
              "list the names with: tenon inspect");
}

}  // namespace tenon
