// save: writes a Snapshot so that it holds. A reader sees the old file or the new one, never half of one.
//
// Order: check the request -> write a temporary file in the same folder -> fsync -> rename -> fsync the folder.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include <tenon/export.hpp>
#include <tenon/progress.hpp>
#include <tenon/snapshot.hpp>

namespace tenon {

enum class Existing : std::uint8_t { Refuse, Replace };
enum class Durability : std::uint8_t {
  Fsync,  ///< on return the file survives a power cut
  None,   ///< atomic for readers, but a power cut soon after may lose it
};
enum class Objects : std::uint8_t { Keep, Drop };
enum class Digests : std::uint8_t {
  Write,  ///< XXH3-128 of every block of every tensor and of all else go into the file: reading and verify() check them
  None,   ///< the bytes that the format's own writer would write
};

struct SaveOptions {
  Format format = Format::Safetensors;  ///< Safetensors, PytorchZip or Npz
  Existing existing = Existing::Refuse;
  Durability durability = Durability::Fsync;
  Objects objects = Objects::Keep;  ///< Keep: refuse what the format cannot hold
  /// Tensor bytes in one file; more are spread over shards beside an index. 0: always one file.
  std::uint64_t max_shard_bytes = 0;
  /// Bytes given to the disk, of all files. Also called, with all of them done, while the save waits for another one in
  /// the folder, reads back, and before it gives the names.
  Progress progress = {};
  Digests digests = Digests::Write;
};

struct SaveReport {
  std::uint64_t file_bytes = 0;    ///< of all files together
  std::string path;                ///< what opens the checkpoint: the file itself, or the index of its shards
  std::vector<std::string> files;  ///< that were written, or would be
  /// What changed form on the way (views written dense, metadata dropped) and what stands beside the output and may be
  /// taken for it.
  std::vector<std::string> notes;
};

/// Saves `snapshot` under `path`. Several files are all complete on the disk before the first gets its name; the index
/// gets its name last.
/// What is written depends only on the snapshot, the options and the base name of
/// `path`.
///
/// Throws Error: Refused (no tensors, placeholders without bytes, two names for one entry, objects or dtypes that the
/// format cannot hold: all of them listed), Exists, Write (names path, bytes needed and free; the old file is
/// untouched), and whatever loading the tensors and `progress` throw.
TENON_API SaveReport save(const Snapshot& snapshot, const std::string& path, const SaveOptions& options = {});

/// What save() would do, up to the point where it opens a file: every refusal, the size, the notes. Writes nothing.
/// Throws Error: Refused, Exists, Invalid as save() does, and Write where no file can have such a name.
TENON_API SaveReport rehearse_save(const Snapshot& snapshot, const std::string& path, const SaveOptions& options = {});

/// The format that a file name asks for by its suffix (.safetensors; .npz; .pt .pth .bin .ckpt), or nothing.
TENON_API std::optional<Format> format_from_suffix(std::string_view path);

}  // namespace tenon
