// CheckpointCore: what every reader fills in. Immutable once open() returned it.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <tenon/checkpoint.hpp>

#include "formats/digests.hpp"
#include "io/mapped_file.hpp"

namespace tenon::formats {

/// The row of a file's digests that is about a storage; null where there is none.
struct DigestRow {
  std::shared_ptr<const FileDigests> of;
  std::uint32_t row = 0;
};

/// Where the bytes of a storage are.
struct StorageBytes {
  enum class Kind : std::uint8_t {
    Mapped,    ///< file bytes [offset, offset + nbytes)
    Deflated,  ///< file bytes [offset, offset + packed_bytes), inflated on first use
    Owned,     ///< `made->bytes`: values that stood inside a pickle
    Derived,   ///< `made->derive` makes them out of file bytes [offset, offset + packed_bytes), anew for each who asks
  };
  Kind kind = Kind::Mapped;
  std::uint32_t file = 0;  ///< index into CheckpointCore::files
  std::uint64_t offset = 0;
  std::uint64_t packed_bytes = 0;
  /// Zip entries: `offset` is where the local header begins, and the bytes begin where that says. It is read with the
  /// first byte of the storage, so that opening does not touch one page per tensor.
  bool offset_is_of_zip_header = false;
  std::optional<std::uint32_t> crc32;  ///< of the unpacked bytes of the whole record, where the archive has one
  DigestRow digests;                   ///< of the bytes as they stand in the file

  /// Gives exactly the storage's bytes, or throws Error.
  using Derive = std::function<std::vector<std::byte>(std::span<const std::byte> stored)>;
  /// What few storages have stands apart: a file may have 100,000 that have none of it.
  struct Made {
    std::vector<std::byte> bytes;
    Derive derive;
  };
  std::shared_ptr<const Made> made;

  void own(std::span<const std::byte> bytes) {
    kind = Kind::Owned;
    made = std::make_shared<const Made>(Made{{bytes.begin(), bytes.end()}, {}});
  }
  void derive_by(Derive derive) {
    kind = Kind::Derived;
    made = std::make_shared<const Made>(Made{{}, std::move(derive)});
  }
};

/// Bytes and what keeps them alive; no owner means the checkpoint itself.
struct HeldBytes {
  std::span<const std::byte> view;
  std::shared_ptr<const void> owner;
};

/// One file of the code in a TorchScript archive: text, never run.
struct SourceFile {
  std::string member;  ///< `code/__torch__/torch/nn/modules/linear.py`
  std::string text;
};

struct CheckpointCore {
  std::string file;  ///< as given by the caller
  Format format = Format::PytorchZip;
  std::string format_version;
  std::optional<std::string> producer;
  std::uint64_t file_bytes = 0;
  std::vector<std::shared_ptr<const io::MappedFile>> files;
  std::vector<TensorInfo> tensors;
  std::vector<Container> containers;
  std::vector<StorageInfo> storages;
  std::vector<StorageBytes> storage_bytes;  ///< beside `storages`
  std::vector<Object> objects;
  std::vector<std::pair<std::string, std::string>> metadata;
  std::vector<std::string> warnings;
  std::string blueprint_json;
  std::vector<SourceFile> sources;                  ///< TorchScript archives only
  std::shared_ptr<const CheckpointCore> constants;  ///< the tensors that `sources` name `CONSTANTS.c0`, ...; or null
  std::string script_problem;                       ///< why `sources` or `constants` are not whole; "" if they are
  std::vector<std::shared_ptr<const FileDigests>> digests;  ///< of the files that hold some of themselves
  Salvage salvage = Salvage::No;
  Check bytes_check = Check::Yes;
  Limits limits;

  /// Where the digests are of no use, a warning says so.
  void add_digests(std::shared_ptr<const FileDigests> of_a_file);

  /// Bytes of storage `index`, unpacked and, the first time, checked against their digests or their CRC-32.
  HeldBytes bytes_of(std::uint32_t index) const;

  /// The same into memory of the caller's, `storages[index].nbytes` long: read from the file piece by piece, and each
  /// piece checked while it is in the processor's cache. When it throws, what `out` holds is not to be used.
  void read(std::uint32_t index, std::span<std::byte> out) const;

  /// Index of the tensor called `name`: the first in file order when names repeat. O(log tensors) after the first call.
  std::optional<std::size_t> find(std::string_view name) const;

  /// Checks a view against its storage (rank, signs, range, overflow) and throws Error Corrupt with the tensor's name.
  /// Readers call it for every tensor before open() returns, so that tensor() cannot fail on metadata.
  void check(const TensorInfo& tensor) const;

 private:
  HeldBytes derived(std::uint32_t index) const;
  /// Of storages that stand in a file, packed or not: their place in it. Reads a zip's local header.
  ByteRange place_in_file(std::uint32_t index) const;
  Where where_is(std::uint32_t index) const;
  bool has_digests(const StorageBytes& place) const;
  [[noreturn]] void refuse_block(std::uint32_t index, std::uint64_t block, ByteRange place) const;
  void check_crc32(std::uint32_t index, std::uint32_t found) const;
  /// Throws Error Corrupt where the bytes, `stored` of their file, are not what was saved.
  void check_bytes(std::uint32_t index, std::span<const std::byte> stored, std::span<const std::byte> unpacked) const;

  struct Unpacked {
    std::span<const std::byte> view;  ///< of the file or of `bytes`, checked
    std::vector<std::byte> bytes;
  };
  std::optional<std::span<const std::byte>> known(std::uint32_t index) const;
  Unpacked unpack(std::uint32_t index) const;
  mutable std::mutex mutex_;  ///< guards checked_ and inflated_
  mutable std::vector<const std::byte*>
      checked_;  ///< beside `storages`: where those of the file that were looked at begin
  mutable std::map<std::uint32_t, std::vector<std::byte>> inflated_;
  mutable std::once_flag sorted_;  ///< guards the making of by_name_
  mutable std::vector<std::uint32_t> by_name_;
};

/// One reader: what its files look like and how they are opened. The table is in open.cpp.
struct OpenRequest {
  std::string path;
  std::shared_ptr<const io::MappedFile> file;
  OpenOptions options;
  std::uint64_t depth = 0;  ///< how many files stand around this one: shards and archives name others
};
using Reader = std::shared_ptr<CheckpointCore> (*)(const OpenRequest& request);

}  // namespace tenon::formats
