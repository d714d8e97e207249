// PickleGraph: a pickle's tree seen as a checkpoint: which nodes are tensors, which hold others under which keys, which
// are plain.
//
//   call of _rebuild_tensor_v2          -> a tensor           (wrappers such as _rebuild_parameter are looked through)
//   dict, OrderedDict, list, torch.Size -> a container
//   object with _parameters, _modules   -> a container whose keys are those of the state dict
//   object of any other class           -> a container: its attributes
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <tenon/checkpoint.hpp>

#include "container/pickle_tree.hpp"
#include "formats/pickle_globals.hpp"

namespace tenon::formats {

using container::kNoNode;
using container::NodeId;
using container::NodeKind;

/// One step down: from a container to a value.
struct Child {
  enum class Kind : std::uint8_t {
    Key,       ///< a dict's key or an attribute
    Position,  ///< of a list, a tuple, a set
    Argument,  ///< of a constructor: `<arg0>`
    Part,      ///< of one tensor or object: `<indices>`, `<state>`
  };
  NodeId value = kNoNode;
  Kind kind = Kind::Key;
  NodeId key = kNoNode;        ///< Key
  std::uint32_t position = 0;  ///< Position, Argument
  std::string_view part;       ///< Part, with its angle brackets; static text
};

enum class Role : std::uint8_t { Plain, Tensor, Container };

/// A tensor with its wrappers taken off.
struct TensorCall {
  Meaning meaning = Meaning::Unknown;  ///< how it is rebuilt; Unknown for a bare storage
  NodeId node = kNoNode;               ///< where it stands
  NodeId arguments = kNoNode;          ///< of the rebuild function; the persistent id of a bare storage
  NodeId state = kNoNode;              ///< of BUILD: numpy arrays, very old tensors
  std::string type;                    ///< `torch.nn.Parameter`, a subclass; "" for a plain tensor
  std::optional<bool> requires_grad;   ///< from the wrapper
  NodeId cast_to = kNoNode;            ///< dtype of a device tensor sent as an ndarray of another type
  std::vector<Child> attachments;      ///< what belongs to it beside its elements: python attributes, scales
};

/// The tensor or storage that a persistent id names by its number alone (PyTorch's tar files), or nullptr.
using PersistentTensors = std::function<const TensorInfo*(std::int64_t key)>;

class PickleGraph {
 public:
  /// `tree` must outlive the graph.
  explicit PickleGraph(const container::PickleTree& tree, PersistentTensors persistent_tensors = {});

  const container::PickleTree& tree() const { return tree_; }

  Role role(NodeId node) const;

  /// Children of a Container, later duplicates of a dict's key in the place of the first, as Python does.
  std::vector<Child> children(NodeId node) const;
  ContainerKind container_kind(NodeId node) const;

  /// `dict`, `collections.OrderedDict`, `torch.Size`, a class name as written in the file.
  std::string type_name(NodeId node) const;

  /// For a node whose role is Tensor.
  TensorCall tensor_call(NodeId node) const;

  /// Takes off wrappers that only tag a value.
  NodeId see_through(NodeId node) const;

  Meaning meaning(NodeId call) const;
  std::vector<std::pair<NodeId, NodeId>> pairs(NodeId mapping) const;  ///< of a dict or a call that makes one
  std::vector<NodeId> sequence(NodeId node) const;  ///< of a list, tuple, set or a call that makes one
  bool is_mapping(NodeId node) const;
  bool is_sequence(NodeId node) const;

  /// Bytes or text wherever they may stand: BINBYTES, py2 strings, `_codecs.encode(...)`, `bytearray(...)`.
  struct Payload {
    std::optional<std::string> owned;     ///< when they had to be decoded
    std::string_view view;                ///< else
    std::optional<std::uint64_t> offset;  ///< of `view` in the stream
    std::string_view bytes() const { return owned ? std::string_view(*owned) : view; }
  };
  std::optional<Payload> payload(NodeId node) const;

  std::string_view text(NodeId node) const;  ///< of Text, RawText, Bytes; "" otherwise
  void append_key(std::string& out, const Child& child) const;
  bool is_integer_key(const Child& child) const;
  std::optional<std::uint32_t> argument(NodeId call, std::size_t index) const;  ///< node of a positional argument

  /// Data type of a numpy array's dtype node: type code without byte order, and the order. Nothing when it is no dtype.
  struct NumpyType {
    std::string code;
    bool big_endian = false;
  };
  std::optional<NumpyType> numpy_type(NodeId dtype) const;
  /// The ndarray of a call of _reconstruct, from its state.
  struct NumpyArray {
    NodeId shape = kNoNode, dtype = kNoNode;
    NodeId data = kNoNode;  ///< kNoNode: raw, behind the call
    bool fortran = false;
  };
  std::optional<NumpyArray> numpy_array(const TensorCall& call) const;

  /// The row that a persistent id names by its number, or nullptr.
  const TensorInfo* persistent_tensor(NodeId persistent) const;

  /// Name of what a node stands for when it is a class or function: `module.name` as written; "" otherwise.
  std::string function_name(NodeId function) const;

 private:
  std::optional<TensorCall> unwrap(NodeId node) const;
  std::optional<NodeId> only_item(NodeId array_call) const;
  void add_pairs(std::vector<Child>& out, const std::vector<std::pair<NodeId, NodeId>>& pairs) const;
  std::vector<Child> module_children(NodeId state) const;
  std::vector<Child> record_children(NodeId call) const;
  std::vector<Child> tensor_parts(NodeId call) const;
  NodeId module_state(NodeId call) const;  ///< the attribute dict of a pickled torch.nn.Module, or kNoNode
  bool is_sparse_or_nested(Meaning meaning) const;

  const container::PickleTree& tree_;
  PersistentTensors persistent_tensors_;
  std::vector<Meaning> meanings_;  ///< beside tree_.globals()
};

}  // namespace tenon::formats
