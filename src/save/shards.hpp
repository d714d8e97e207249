// Shards: a snapshot cut into several files and the index that says which tensor is where.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <tenon/save.hpp>
#include <tenon/snapshot.hpp>

#include "io/fs.hpp"
#include "formats/digests.hpp"

namespace tenon::saving {

/// Consecutive tensors together while they fit into `max_bytes`; a larger tensor gets a shard of its own. Tensors that
/// share a storage stay in one shard, so that the sharing can be kept. Objects, metadata and the blueprint go into the
/// first. One shard means: everything fits. Cheap: nothing is loaded.
std::vector<Snapshot> cut_into_shards(const Snapshot& snapshot, std::uint64_t max_bytes);

/// `dir/model.safetensors`, 2 of 3 -> `dir/model-00002-of-00003.safetensors`; of generation 4
/// `dir/model.g4-00002-of-00003.safetensors`. The shards of a save that replaces another have names of their own, so
/// that the old ones stay whole until the new index stands.
std::string shard_path(const std::string& path, std::size_t number, std::size_t count, std::uint64_t generation);

/// Whether shard_path() gives `path`'s shards such a name, of whatever number and generation.
bool is_shard_of(std::string_view name, const std::string& path);

/// One more than the greatest generation that a file of the folder or the index at its place has a name of; 1 where
/// there is none. Names of removed shards do not come back, so that who holds an older index finds its shards or
/// nothing, never another save's under the same names. `skipped` more are left out.
std::uint64_t next_generation(io::Fs& fs, const std::string& path, std::uint64_t skipped);

/// Readers look for shards beside the name by which they open an index. One that is a link into another folder has two
/// such places, and a save could make only one of them whole. Throws Error Refused.
void refuse_index_elsewhere(io::Fs& fs, const std::string& path);

/// `dir/model.safetensors` -> `dir/model.safetensors.index.json`.
std::string index_path(const std::string& path);

struct ShardFile {
  const Snapshot& content;
  std::string path;
  std::uint64_t file_bytes;
  std::string digest;  ///< the file's own; "" while it is not known: then zeros hold its place
};

struct IndexText {
  std::string text;
  std::optional<formats::DigestPlaces> digests;  ///< of the index itself
};

/// The index as JSON, names in the snapshot's order. With Digests::Write it names the
/// size and the digest of every shard, so that one of another save is found out, and is itself digested.
IndexText index_text(const std::vector<ShardFile>& shards, Digests digests);

}  // namespace tenon::saving
