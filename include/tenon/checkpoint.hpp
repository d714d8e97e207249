// Checkpoint: a file or folder of saved tensors, opened by reading its metadata only.
//
//   open(path) -> Checkpoint: tensors (index), containers (where they stand), objects (what is no tensor)
//   checkpoint.tensor(i) -> Tensor: bytes, mapped from the file when first asked for
#pragma once

#include <cstdint>
#include <limits>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <tenon/error.hpp>
#include <tenon/export.hpp>
#include <tenon/limits.hpp>
#include <tenon/tensor.hpp>
#include <tenon/value.hpp>

namespace tenon {

/// The formats of the contract; a reader exists for the ones that open() accepts, the others are named when refused.
enum class Format : std::uint8_t {
  PytorchZip,
  PytorchLegacy,
  PytorchTar,
  TorchScript,
  LibtorchArchive,
  TorchDcp,
  Safetensors,
  SafetensorsSharded,
  PytorchSharded,
  Gguf,
  Npz,
  Npy,
  Onnx,
  Pickle,
  Zip,
  Tar,
  Hdf5,
  KerasH5,
  KerasV3,
  FlaxMsgpack,
  TfBundle,
  TorchSharp,
};

/// Contract name: `pytorch-zip`, `safetensors`, ...
TENON_API std::string_view format_name(Format format);

/// What holds tensors and other values: the nodes of the file's tree that have something below them.
enum class ContainerKind : std::uint8_t {
  Mapping,      ///< dict and its kin: keys to values
  Sequence,     ///< list, tuple, set: positions to values
  Module,       ///< a pickled or scripted module: attribute names to values
  Record,       ///< any other object of a class known by name only
  TensorParts,  ///< one sparse, quantised or nested tensor, stored as several
};

/// One container of the file's tree. Container 0 is the top object; parents come before their children.
struct Container {
  std::string path;  ///< full name, keys joined with "."; empty for the top
  ContainerKind kind = ContainerKind::Mapping;
  std::string type;                ///< `dict`, `collections.OrderedDict`, `list`, a class name
  std::uint32_t parent = 0;        ///< index of the container that holds it; 0 for the top itself
  std::string key;                 ///< last part of the path
  bool integer_key = false;        ///< the key is an integer (or a position), not text that looks like one
  std::uint64_t tensor_count = 0;  ///< tensors that stand directly in it
};

inline constexpr std::uint32_t kNoStorage = std::numeric_limits<std::uint32_t>::max();

/// One row of the index. `name` is the container's path and the key, joined with ".".
struct TensorInfo {
  std::string name;
  DType dtype = DType::Float32;
  Shape shape;
  Stride stride;  ///< in elements, as recorded
  std::uint32_t storage =
      kNoStorage;  ///< index into Checkpoint::storages(); equal = shared bytes; kNoStorage = no bytes (meta)
  std::uint64_t offset_bytes = 0;  ///< of the first element in its storage
  Encoding encoding;
  std::uint32_t container = 0;
  std::uint32_t key_begin = 0;  ///< name.substr(key_begin) is the key within the container
  bool integer_key = false;
  std::optional<bool> requires_grad;  ///< where the format tells
  std::string type;  ///< "" for a plain tensor; else `torch.nn.Parameter`, `numpy.ndarray`, a subclass's name

  std::string_view key() const { return std::string_view(name).substr(key_begin); }
};

/// A run of bytes that one or more tensors view.
struct StorageInfo {
  std::string id;            ///< the file's own name for it: `0`, `93845846377936`; "" where the format has none
  std::string member;        ///< archive entry; "" when it lies in the file itself
  std::uint64_t nbytes = 0;  ///< unpacked
  std::string device;        ///< `cpu`, `cuda:0`, as recorded; "" where the format knows none
};

/// What is not a tensor: the largest subtrees without tensors (below the top object), each with its value.
struct Object {
  std::string name;
  Value value;
  std::uint32_t container = 0;
  std::uint32_t key_begin = 0;
  bool integer_key = false;

  std::string_view key() const { return std::string_view(name).substr(key_begin); }
};

enum class ReadMode : std::uint8_t {
  Map,   ///< private read-only mapping
  Copy,  ///< read into memory: for files that others may cut while they are read, where a mapping raises SIGBUS
};
enum class Salvage : std::uint8_t {
  No,   ///< damage is an Error
  Yes,  ///< what is whole is listed, all bytes are read for that; the damage becomes warnings
};
enum class Check : std::uint8_t {
  Yes,  ///< digests and checksums that the file holds are compared when bytes are first used
  No,   ///< bytes are taken as they are
};

struct OpenOptions {
  ReadMode mode = ReadMode::Map;
  Salvage salvage = Salvage::No;
  Limits limits = {};
  Check check = Check::Yes;
};

namespace formats {
struct CheckpointCore;
}

/// A cheap handle to an immutable core that owns mappings and index. Safe to share between threads.
class TENON_API Checkpoint {
 public:
  const std::string& file() const;
  Format format() const;
  const std::string& format_version() const;           ///< "" where the format has none
  const std::optional<std::string>& producer() const;  ///< what wrote it, where that can be told
  std::uint64_t file_bytes() const;

  std::span<const TensorInfo> tensors()
      const;  ///< in the file's order; names may repeat only in archives of checkpoints
  std::span<const Container> containers() const;
  std::span<const StorageInfo> storages() const;
  std::span<const Object> objects() const;
  std::span<const std::pair<std::string, std::string>> metadata() const;  ///< the format's own
  std::span<const std::string> warnings() const;
  const std::string& blueprint_json() const;  ///< text of the blueprint inside or beside the file; "" if there is none

  /// Index of the tensor called `name`, or nothing. O(log tensors).
  std::optional<std::size_t> find(std::string_view name) const;

  /// Returns the tensor at `index` as a view into the checkpoint.
  ///
  /// Nothing is copied where the file stores the bytes plainly; packed storages are unpacked once and kept. The
  /// digests that tenon stored, else the archive's checksum of the storage, are compared when it is first touched. The
  /// result keeps the bytes alive. Throws Error: Corrupt (checksum, range), Read (the file changed since open),
  /// Unsupported (a tensor without bytes).
  Tensor tensor(std::size_t index) const;

  /// Reads the dense bytes of the tensor (see for_each_block) into `out`, which is byte_size(shape, dtype) long.
  ///
  /// Where they are stored as they are, they are read from the file straight to there and checked on the way, so that
  /// they come by once. Throws what tensor() throws; then `out` holds bytes that are not to be used.
  void read(std::size_t index, std::span<std::byte> out) const;

  /// tensor() by name. Throws Error NotFound that names the nearest keys.
  Tensor tensor(std::string_view name) const;

  explicit Checkpoint(std::shared_ptr<const formats::CheckpointCore> core);
  const formats::CheckpointCore& core() const { return *core_; }

 private:
  std::shared_ptr<const formats::CheckpointCore> core_;
};

/// Opens a checkpoint of any format that tenon reads; the format is told by content, never by suffix.
///
/// Reads metadata only: cost grows with the number of tensors, not with their bytes.
/// Throws Error: NotFound, Read, Corrupt, Unsupported (a format that is named but not read), Limit.
TENON_API Checkpoint open(const std::string& path, const OpenOptions& options = {});

}  // namespace tenon
