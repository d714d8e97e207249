// torch.distributed.checkpoint
//
//   folder/.metadata       a pickle: names, shapes, and for each piece of a tensor its file and range
//   folder/__R_N.distcp    the pieces one after another, each one complete output of torch.save
//
// The metadata is written last: a folder without it is an unfinished save.
#include "formats/torch_dcp.hpp"

#include <algorithm>
#include <cstring>
#include <map>
#include <utility>

#include "base/text.hpp"
#include "formats/dcp_metadata.hpp"
#include "formats/merge.hpp"
#include "formats/open.hpp"

namespace tenon::formats {

namespace {

/// Opens blobs. Shared by the tensors that are put together later, so it owns all that it needs.
class BlobReader {
 public:
  explicit BlobReader(const OpenRequest& request)
      : folder_(request.path), options_(request.options), depth_(request.depth) {}

  /// Maps the file once and checks the range against its size.
  void require(const DcpBlob& blob, const std::string& key) {
    auto& file = files_[blob.file];
    if (!file) file = io::MappedFile::open_beside(folder_, blob.file, options_.mode);
    if (blob.offset <= file->size() && blob.length <= file->size() - blob.offset) return;
    throw Error(Code::Corrupt, {file->path(), {}, key, blob.offset}, "a piece reaches past the end of its file",
                base::plural(blob.length, "byte"),
                base::plural(file->size() - std::min(blob.offset, file->size()), "byte"),
                "the file is cut short: copy the folder again, or save again");
  }

  std::shared_ptr<CheckpointCore> open(const DcpBlob& blob) const {
    const auto& file = files_.at(blob.file);
    const auto part = io::MappedFile::part(file, blob.offset, blob.length, file->path());
    return open_core({file->path(), part, options_, depth_ + 1});
  }

  std::uint64_t bytes() const {
    std::uint64_t sum = 0;
    for (const auto& [name, file] : files_) sum += file->size();
    return sum;
  }

 private:
  std::string folder_;
  OpenOptions options_;
  std::uint64_t depth_;
  std::map<std::string, std::shared_ptr<const io::MappedFile>> files_;
};

/// Copies a dense box into its place in the dense whole, one run of the last axis after another.
void paste(std::span<const std::byte> box, const DcpChunk& chunk, const DcpTensor& tensor, std::uint64_t element,
           std::vector<std::byte>& whole) {
  const std::size_t rank = tensor.shape.size();
  const Stride stride = dense_stride(tensor.shape);
  const std::uint64_t run = (rank == 0 ? 1 : static_cast<std::uint64_t>(chunk.sizes[rank - 1])) * element;
  Shape at(rank, 0);
  for (std::uint64_t from = 0; from < box.size(); from += run) {
    std::int64_t to = 0;
    for (std::size_t axis = 0; axis < rank; ++axis) to += (chunk.offsets[axis] + at[axis]) * stride[axis];
    std::memcpy(whole.data() + static_cast<std::uint64_t>(to) * element, box.data() + from, run);
    for (std::size_t axis = rank < 2 ? 0 : rank - 1; axis-- > 0;) {
      if (++at[axis] < chunk.sizes[axis]) break;
      at[axis] = 0;
    }
  }
}

std::vector<std::byte> box_of(const CheckpointCore& core, const DcpChunk& chunk, const DcpTensor& tensor) {
  if (core.tensors.size() != 1 || core.tensors[0].dtype != tensor.dtype || core.tensors[0].shape != chunk.sizes)
    throw Error(Code::Corrupt, {core.file, {}, tensor.name, chunk.blob.offset}, "a piece is not what the metadata says",
                std::string(dtype_name(tensor.dtype)) + " " + base::shape_text(chunk.sizes),
                core.tensors.size() != 1
                    ? base::plural(core.tensors.size(), "tensor")
                    : std::string(dtype_name(core.tensors[0].dtype)) + " " + base::shape_text(core.tensors[0].shape),
                "the checkpoint is damaged: save it again");
  const TensorInfo& info = core.tensors[0];
  TensorView view{info.dtype, info.shape, info.stride, {}, info.offset_bytes, info.encoding};
  const HeldBytes held = info.storage == kNoStorage ? HeldBytes{} : core.bytes_of(info.storage);
  view.storage = held.view;
  std::vector<std::byte> dense(byte_size(info.shape, info.dtype));
  if (!dense.empty()) copy_dense(view, dense);
  return dense;
}

std::vector<std::byte> put_together(const BlobReader& blobs, const DcpTensor& tensor) {
  const std::uint64_t bytes = byte_size(tensor.shape, tensor.dtype);
  if (tensor.chunks.size() == 1) return box_of(*blobs.open(tensor.chunks[0].blob), tensor.chunks[0], tensor);
  std::vector<std::byte> whole(bytes);
  for (const DcpChunk& chunk : tensor.chunks)
    if (element_count(chunk.sizes) > 0)
      paste(box_of(*blobs.open(chunk.blob), chunk, tensor), chunk, tensor,
            static_cast<std::uint64_t>(dtype_bytes(tensor.dtype)), whole);
  return whole;
}

class DcpFolder {
 public:
  explicit DcpFolder(const OpenRequest& request)
      : request_(request), core_(std::make_shared<CheckpointCore>()), blobs_(std::make_shared<BlobReader>(request)) {
    core_->file = request.path;
    core_->format = Format::TorchDcp;
    core_->producer = "torch.distributed.checkpoint";
    core_->salvage = request.options.salvage;
    core_->limits = request.options.limits;
    core_->containers.push_back({.path = {}, .type = "dict", .key = {}});
  }

  std::shared_ptr<CheckpointCore> open() {
    const DcpMetadata metadata = read_dcp_metadata(request_);
    core_->format_version = metadata.version;
    for (const DcpTensor& tensor : metadata.tensors) unless_salvaged(tensor.name, [&] { add_tensor(tensor); });
    for (const DcpObject& object : metadata.objects) unless_salvaged(object.name, [&] { add_object(object); });
    core_->file_bytes = request_.file->size() + blobs_->bytes();
    return std::move(core_);
  }

 private:
  template <class Add>
  void unless_salvaged(const std::string& name, const Add& add) {
    try {
      add();
    } catch (const Error& error) {
      if (core_->salvage == Salvage::No) throw;
      core_->warnings.push_back("left out: " + name + ": " + error.what());
    }
  }

  void add_tensor(const DcpTensor& tensor) {
    for (const DcpChunk& chunk : tensor.chunks) blobs_->require(chunk.blob, tensor.name);
    if (tensor.chunks.size() > 1 && dtype_bytes(tensor.dtype) == 0)
      throw Error(Code::Unsupported, {request_.path, {}, tensor.name, {}},
                  "a tensor of less than a byte per element is cut into pieces", {},
                  std::string(dtype_name(tensor.dtype)), "save it in one piece");
    require_no_larger(tensor);
    TensorInfo info;
    info.name = tensor.name;
    info.dtype = tensor.dtype;
    info.shape = tensor.shape;
    info.stride = dense_stride(tensor.shape);
    info.storage = static_cast<std::uint32_t>(core_->storages.size());
    core_->storages.push_back({std::to_string(info.storage),
                               tensor.chunks.empty() ? "" : tensor.chunks[0].blob.file,
                               byte_size(tensor.shape, tensor.dtype),
                               {}});
    StorageBytes& place = core_->storage_bytes.emplace_back();
    place.derive_by([blobs = blobs_, tensor](std::span<const std::byte>) { return put_together(*blobs, tensor); });
    core_->check(info);
    core_->tensors.push_back(std::move(info));
    ++core_->containers.front().tensor_count;
  }

  /// A tensor cannot be larger than the blobs that hold it: nothing is allocated on the metadata's word.
  void require_no_larger(const DcpTensor& tensor) const {
    std::uint64_t held = 0;
    for (const DcpChunk& chunk : tensor.chunks) held += chunk.blob.length;
    const std::uint64_t bytes = byte_size(tensor.shape, tensor.dtype);
    if (bytes > std::max(held, core_->limits.expanded_view_bytes))
      throw Error(Code::Corrupt, {request_.path, {}, tensor.name, {}}, "the tensor is larger than its pieces",
                  "at most " + base::plural(held, "byte"), base::plural(bytes, "byte"),
                  "the checkpoint is damaged or forged: save it again");
  }

  void add_object(const DcpObject& object) {
    blobs_->require(object.blob, object.name);
    merge(*core_, std::move(*blobs_->open(object.blob)), object.name);
  }

  const OpenRequest& request_;
  std::shared_ptr<CheckpointCore> core_;
  std::shared_ptr<BlobReader> blobs_;
};

}  // namespace

std::shared_ptr<CheckpointCore> open_torch_dcp(const OpenRequest& request) { return DcpFolder(request).open(); }

}  // namespace tenon::formats
