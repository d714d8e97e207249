// Limits: what a file may ask of a reader. A number in a file is a claim; passing one of these is Error Limit, never a
// crash.
#pragma once

#include <cstdint>

namespace tenon {

struct Limits {
  std::uint64_t pickle_bytes = 1ULL << 30;
  std::uint64_t pickle_opcodes = 200'000'000;
  std::uint64_t pickle_nodes = 50'000'000;
  std::uint64_t nesting_depth = 1'000;      ///< containers within containers
  std::uint64_t walked_paths = 10'000'000;  ///< shared references expand: 60 lists of 10 references are 10^60 paths
  std::uint64_t object_values = 1'000'000;  ///< plain values copied out as Object, per file
  std::uint64_t integer_bytes = 1'024;      ///< LONG4
  std::uint64_t tensor_rank = 64;
  std::uint64_t zip_entries = 2'000'000;
  std::uint64_t zip_name_bytes = 4'096;
  std::uint64_t inflate_ratio = 1'100;                   ///< deflate itself stays below 1 032 : 1
  std::uint64_t inflated_record_bytes = 1ULL << 30;      ///< of a record that is not a tensor's storage
  std::uint64_t gunzipped_bytes = 8ULL << 30;            ///< of a gzip file, which is unpacked into memory
  std::uint64_t safetensors_header_bytes = 100'000'000;  ///< the official cap
  std::uint64_t shards = 10'000;                         ///< files that an index names
  std::uint64_t pieces_compared = 50'000'000;            ///< pairs of one tensor's pieces in a distributed checkpoint
  std::uint64_t wrapper_depth = 4;                       ///< checkpoints within archives within archives
  std::uint64_t gguf_metadata = 1'000'000;               ///< pairs of key and value; a real file has some fifty
  std::uint64_t gguf_tensors = 1'000'000;
  std::uint64_t gguf_array_depth = 100;  ///< arrays within arrays
  std::uint64_t tar_members = 100'000;
  std::uint64_t tabled_tensors = 1'000'000;  ///< of tables that have a count in front: PyTorch tar, TorchSharp
  /// NumPy stops at 10 000, because its parser may crash on more; structured arrays of many fields need more.
  std::uint64_t npy_header_bytes = 1'000'000;
  std::uint64_t npy_depth = 20;          ///< fields within fields
  std::uint64_t npy_name_bytes = 1'024;  ///< of fields in fields, constants in graphs: all repeat what is around them
  std::uint64_t protobuf_depth = 100;    ///< messages within messages, protobuf's own limit
  std::uint64_t json_depth = 100;
  std::uint64_t json_file_bytes = 1ULL << 30;        ///< blueprints and plans
  std::uint64_t scan_depth = 8;                      ///< archives and pickles within each other that scan() enters
  std::uint64_t scan_unpacked_bytes = 512ULL << 20;  ///< all that scan() unpacks of one file's compressed parts
  std::uint64_t scan_inflate_ratio = 200;            ///< beyond `scan_bomb_bytes`; what people pack stays below 100
  std::uint64_t scan_bomb_bytes = 32ULL << 20;       ///< unpacked bytes from which on the ratio is looked at
  std::uint64_t scan_overlap_bytes = 32ULL << 20;    ///< read of an archive's entries beyond twice the file
  std::uint64_t scan_config_attempts = 50'000;       ///< places of an HDF5 file where a configuration may start
  std::uint64_t scan_findings = 1'000;               ///< kept of one file; the rest is counted
  std::uint64_t scan_attempts = 2'000;            ///< places of one file at which scan() tries whether a pickle starts
  std::uint64_t scan_stray_opcodes = 20'000'000;  ///< spent on such places together
  std::uint64_t script_source_bytes = 64ULL << 20;  ///< all code of a TorchScript archive; a ResNet's has 40 kB
  std::uint64_t config_members = 10'000;            ///< of a `config.json`
  std::uint64_t expanded_view_bytes = 1ULL << 30;  ///< dense bytes of a view that is larger than its storage (stride 0)
};

}  // namespace tenon
