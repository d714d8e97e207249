// TensorRebuilder: turns an inert call of one of torch's or numpy's rebuild functions into a row of the index.
//
// Source: torch/_utils.py (_rebuild_*), torch/storage.py; numpy/core/src/multiarray/methods.c (array_setstate).
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>

#include <tenon/checkpoint.hpp>

#include "formats/core.hpp"
#include "formats/pickle_graph.hpp"

namespace tenon::formats {

/// What a persistent id says: ('storage', class, key, location, count[, (view key, offset, count)]).
struct StorageClaim {
  std::string_view key;
  std::string_view location;
  std::uint64_t bytes = 0;  ///< of the whole storage
  DType dtype = DType::UInt8;
  std::uint64_t view_begin = 0;  ///< bytes; legacy files only
  std::uint64_t view_bytes = 0;
};

/// Where the pickle came from.
struct PickleOrigin {
  std::string member;                        ///< archive entry; "" in legacy files
  std::uint64_t byte = 0;                    ///< of the pickle in the member or file, for messages
  std::optional<std::uint64_t> file_offset;  ///< of the pickle in the core's first file; nothing when it was unpacked
};

/// A place that becomes a Where, which owns its texts, only when there is something to complain about: of the 100,000
/// tensors of a large file, each would pay for three strings that nobody reads. Borrows all it is made of.
class Spot {
 public:
  Spot(const std::string& file, const std::string& member, std::string_view key, std::optional<std::uint64_t> byte)
      : file_(file), member_(member), key_(key), byte_(byte) {}
  Spot(const Where& where) : Spot(where.file, where.member, where.key, where.byte) {}
  operator Where() const { return {std::string(file_), std::string(member_), std::string(key_), byte_}; }

 private:
  std::string_view file_, member_, key_;
  std::optional<std::uint64_t> byte_;
};

/// Finds or makes the storage that a claim names: its index in the core. kNoStorage: it never had bytes (meta device).
/// Throws Error at `where`.
using StorageFinder = std::function<std::uint32_t(const StorageClaim& claim, const Spot& where)>;

class TensorRebuilder {
 public:
  /// All arguments must outlive the rebuilder. `big_endian` tells the byte order of storages.
  TensorRebuilder(const PickleGraph& graph, const PickleOrigin& origin, const StorageFinder& find_storage,
                  bool big_endian, CheckpointCore& core);

  /// Dtype, shape, stride, storage, encoding and type of the tensor called `name`, checked against its storage.
  /// Throws Error Corrupt that names the tensor and the byte of its opcode.
  TensorInfo rebuild(const TensorCall& call, std::string_view name);

 private:
  struct Step;  ///< one tensor being rebuilt: the call, its arguments and how to complain
  void rebuild_view(Step& step, std::size_t argument_count, NodeId dtype_node, NodeId metadata);
  void require_whole_bytes(const Step& step, std::uint64_t offset_bits) const;
  void require_within_window(const Step& step, std::uint64_t offset_bytes) const;
  void rebuild_meta(Step& step);
  void take_row(Step& step, const TensorInfo& known);
  void place_raw(Step& step, NodeId object);
  void rebuild_bare_storage(Step& step);
  void rebuild_numpy(Step& step, const PickleGraph::NumpyArray& array, NodeId array_node);
  void rebuild_from_buffer(Step& step);
  void view_of_claim(Step& step, NodeId storage_node);
  void view_of_nested(Step& step, NodeId call);
  void cast_numpy(Step& step, NodeId dtype_node);
  StorageClaim read_claim(const Step& step, NodeId storage_node) const;
  std::uint32_t storage_of_payload(const Step& step, NodeId node);

  const PickleGraph& graph_;
  const container::PickleTree& tree_;
  const PickleOrigin& origin_;
  const StorageFinder& find_storage_;
  bool big_endian_;
  CheckpointCore& core_;
  std::unordered_map<NodeId, std::uint32_t> payloads_;  ///< storages of bytes that stand in the pickle
  std::unordered_map<NodeId, std::pair<std::uint32_t, StorageClaim>> nested_;  ///< storages pickled by themselves
};

/// Bytes per element as storages count them: packed types (quint4x2, quint2x4) are counted in whole bytes.
std::uint64_t storage_element_bytes(DType dtype);

/// The claim in a persistent id, or nothing when it is none of a storage. `where` for the Error about a malformed one.
std::optional<StorageClaim> read_storage_claim(const PickleGraph& graph, NodeId persistent, const Spot& where);

}  // namespace tenon::formats
