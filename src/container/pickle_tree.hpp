// PickleTree: what a pickle describes, as inert nodes. A class is two strings, a call is a function's name and its
// arguments.
//
//   node     16 bytes: kind, where its opcode stands, and a number or a place in one of the pools
//   items    lists, sets and dicts are chains of runs in one pool, because APPENDS and SETITEMS add to them in batches
//   text     a view of the stream wherever nothing had to be unescaped
//
// Nodes are named by number, so shared references and cycles need nothing special, and no destructor recurses.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <iterator>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <tenon/export.hpp>

namespace tenon::container {

using NodeId = std::uint32_t;
inline constexpr NodeId kNoNode = 0xFFFFFFFF;

enum class NodeKind : std::uint8_t {
  None,
  Bool,
  Integer,
  BigInteger,  ///< beyond 64 bits; bytes() is little-endian two's complement
  Decimal,     ///< beyond 64 bits, as decimal text
  Real,
  Text,     ///< str; bytes() is UTF-8 (surrogates encoded as they are)
  RawText,  ///< Python 2's str: bytes that may be text
  Bytes,
  ByteArray,
  List,
  Tuple,
  Dict,
  Set,
  FrozenSet,
  Global,      ///< a class or function, by name
  Call,        ///< the result of REDUCE, NEWOBJ, INST, ...: never called
  Persistent,  ///< a persistent id: what it stands for is the container format's matter
};

/// A run of the item pool and where the chain goes on.
struct ItemRun {
  std::uint32_t begin = 0, count = 0, next = kNoNode;
};
struct ItemChain {
  std::uint32_t first = kNoNode, last = kNoNode;
};

struct PickleGlobal {
  std::string_view module, name;   ///< as written in the file; both empty where they are computed (attempts only)
  std::uint32_t at = 0;            ///< byte of its opcode in the stream
  std::uint32_t opcode_index = 0;  ///< count of the opcodes before it
  std::string_view opcode;         ///< `GLOBAL`, `STACK_GLOBAL`, `INST`, `EXT`
};

struct PickleCall {
  NodeId function = kNoNode;   ///< a Global in honest files
  NodeId arguments = kNoNode;  ///< a Tuple in honest files
  NodeId keywords = kNoNode;   ///< NEWOBJ_EX only
  NodeId state = kNoNode;      ///< argument of BUILD, if any
  ItemChain items;             ///< appended after the fact
  ItemChain pairs;             ///< set after the fact: key, value, key, value
  bool makes_object = false;   ///< NEWOBJ, INST, OBJ: the function is a class

  /// What stands in the stream (which is shorter than 4 GiB) behind its BUILD and is no opcode.
  std::uint32_t raw_begin = 0, raw_bytes = 0;
};

/// BUILD on a class, function or persistent object: in an unpickler it sets attributes of what everybody else in the
/// process uses, too.
struct PickleAlteration {
  NodeId target = kNoNode;  ///< Global or Persistent
  NodeId state = kNoNode;
  std::uint32_t at = 0, opcode_index = 0;
};

class PickleTree;

/// The items of a container in order; dicts yield key, value, key, value.
class PickleItems {
 public:
  class Iterator {
   public:
    using iterator_category = std::forward_iterator_tag;
    using value_type = NodeId;
    using difference_type = std::ptrdiff_t;
    using pointer = const NodeId*;
    using reference = NodeId;

    Iterator() = default;
    Iterator(const PickleTree* tree, ItemRun run);
    NodeId operator*() const;
    Iterator& operator++();
    Iterator operator++(int) {
      Iterator before = *this;
      ++*this;
      return before;
    }
    friend bool operator==(const Iterator& a, const Iterator& b) {
      return a.run_.count == b.run_.count && a.run_.begin == b.run_.begin;
    }

   private:
    void settle();  ///< moves on to a run that has items left; the end is {0, 0}

    const PickleTree* tree_ = nullptr;
    ItemRun run_;
  };

  PickleItems() = default;
  PickleItems(const PickleTree* tree, ItemRun run) : tree_(tree), run_(run) {}
  Iterator begin() const { return {tree_, run_}; }
  Iterator end() const { return {}; }
  bool empty() const { return begin() == end(); }
  std::size_t size() const;  ///< O(runs)

 private:
  const PickleTree* tree_ = nullptr;
  ItemRun run_;
};

class PickleTree {
 public:
  /// `stream` must outlive the tree and be shorter than 4 GiB.
  explicit PickleTree(std::span<const std::byte> stream);

  NodeId root() const { return root_; }
  std::uint64_t stream_bytes() const { return stream_bytes_; }  ///< up to and with STOP
  int protocol() const { return protocol_; }
  std::size_t node_count() const { return nodes_.size(); }

  NodeKind kind(NodeId node) const { return nodes_[node].kind; }
  std::uint32_t at(NodeId node) const { return nodes_[node].at; }  ///< byte of the opcode that made it
  bool boolean(NodeId node) const { return nodes_[node].payload != 0; }
  std::int64_t integer(NodeId node) const { return std::bit_cast<std::int64_t>(nodes_[node].payload); }
  double real(NodeId node) const { return std::bit_cast<double>(nodes_[node].payload); }

  /// Of Text, RawText, Bytes, ByteArray, BigInteger, Decimal.
  std::string_view bytes(NodeId node) const;
  /// Where bytes() begin in the stream; nothing when they were unescaped.
  std::optional<std::uint64_t> stream_offset(NodeId node) const;

  /// Of List, Tuple, Dict, Set, FrozenSet; empty for all others.
  PickleItems items(NodeId node) const;
  PickleItems items(const ItemChain& chain) const;
  /// The items of a tuple side by side.
  std::span<const NodeId> tuple(NodeId node) const;

  const PickleGlobal& global(NodeId node) const { return globals_[nodes_[node].low()]; }
  std::uint32_t global_index(NodeId node) const { return nodes_[node].low(); }
  const PickleCall& call(NodeId node) const { return calls_[nodes_[node].low()]; }
  std::span<const std::byte> raw(const PickleCall& call) const {
    return stream_.subspan(call.raw_begin, call.raw_bytes);
  }
  NodeId persistent_id(NodeId node) const { return nodes_[node].low(); }

  /// Every class and function that the pickle names, in order of appearance, also where it is never called.
  std::span<const PickleGlobal> globals() const { return globals_; }
  std::span<const PickleAlteration> alterations() const { return alterations_; }

  // For the machine that builds the tree.
  NodeId add(NodeKind kind, std::uint64_t at, std::int64_t integer = 0);
  NodeId add_real(std::uint64_t at, double number);
  NodeId add_bytes(NodeKind kind, std::uint64_t at, std::string_view in_stream);
  NodeId add_unescaped(NodeKind kind, std::uint64_t at, std::string bytes);
  NodeId add_tuple(std::uint64_t at, std::span<const NodeId> items);
  NodeId add_container(NodeKind kind, std::uint64_t at, std::span<const NodeId> items);
  NodeId add_global(const PickleGlobal& global);
  NodeId add_call(std::uint64_t at, const PickleCall& call);
  NodeId add_persistent(std::uint64_t at, NodeId id);
  void append(NodeId container, std::span<const NodeId> items);
  void add_alteration(const PickleAlteration& alteration) { alterations_.push_back(alteration); }
  PickleCall& mutable_call(NodeId node) { return calls_[nodes_[node].low()]; }
  void append(ItemChain& chain, std::span<const NodeId> items);
  void finish(NodeId root, std::uint64_t stream_bytes, int protocol);

 private:
  friend class PickleItems;
  friend class PickleItems::Iterator;
  struct Node {
    NodeKind kind;
    bool owned = false;  ///< bytes stand in unescaped_
    std::uint32_t at;
    std::uint64_t payload;  ///< an integer's or double's bits, or two places in pools: low and high half

    std::uint32_t low() const { return static_cast<std::uint32_t>(payload); }
    std::uint32_t high() const { return static_cast<std::uint32_t>(payload >> 32); }
  };
  static std::uint64_t places(std::uint64_t low, std::uint64_t high) { return low | (high << 32); }

  NodeId push(Node node);
  ItemRun run_of(const ItemChain& chain) const;

  std::span<const std::byte> stream_;
  std::vector<Node> nodes_;
  std::vector<NodeId> pool_;
  std::vector<ItemRun> runs_;
  std::vector<PickleGlobal> globals_;
  std::vector<PickleCall> calls_;
  std::vector<PickleAlteration> alterations_;
  std::deque<std::string> unescaped_;
  NodeId root_ = kNoNode;
  std::uint64_t stream_bytes_ = 0;
  int protocol_ = 0;
};

// Here because the walks over large checkpoints spend their time in them.
inline void PickleItems::Iterator::settle() {
  while (run_.count == 0 && run_.next != kNoNode) run_ = tree_->runs_[run_.next];
  if (run_.count == 0) run_ = {};
}
inline PickleItems::Iterator::Iterator(const PickleTree* tree, ItemRun run) : tree_(tree), run_(run) { settle(); }
inline NodeId PickleItems::Iterator::operator*() const { return tree_->pool_[run_.begin]; }
inline PickleItems::Iterator& PickleItems::Iterator::operator++() {
  ++run_.begin;
  --run_.count;
  settle();
  return *this;
}

}  // namespace tenon::container
