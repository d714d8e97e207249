#include "container/pickle_tree.hpp"

#include <algorithm>
#include <utility>

#include <tenon/error.hpp>

#include "base/cursor.hpp"

namespace tenon::container {

std::size_t PickleItems::size() const {
  std::size_t total = run_.count;
  for (std::uint32_t next = run_.next; next != kNoNode; next = tree_->runs_[next].next)
    total += tree_->runs_[next].count;
  return total;
}

// Room for what state dicts come to (a node in 9 bytes, a call in 50), so that growing pools need not be copied and
// both copies held. Pages that are never written cost nothing; the cap is for streams that are one large array.
PickleTree::PickleTree(std::span<const std::byte> stream) : stream_(stream) {
  constexpr std::size_t kMostNodes = std::size_t{1} << 22U;
  nodes_.reserve(std::min(stream.size() / 8, kMostNodes));
  pool_.reserve(std::min(stream.size() / 6, kMostNodes));
  calls_.reserve(std::min(stream.size() / 48, kMostNodes / 8));
}

std::string_view PickleTree::bytes(NodeId node) const {
  const Node& n = nodes_[node];
  if (n.owned) return unescaped_[n.low()];
  return base::as_text(stream_.subspan(n.low(), n.high()));
}

std::optional<std::uint64_t> PickleTree::stream_offset(NodeId node) const {
  if (nodes_[node].owned) return std::nullopt;
  return nodes_[node].low();
}

ItemRun PickleTree::run_of(const ItemChain& chain) const {
  return chain.first == kNoNode ? ItemRun{} : runs_[chain.first];
}

PickleItems PickleTree::items(const ItemChain& chain) const { return {this, run_of(chain)}; }

PickleItems PickleTree::items(NodeId node) const {
  const Node& n = nodes_[node];
  if (n.kind == NodeKind::Tuple) return {this, ItemRun{n.low(), n.high(), kNoNode}};
  const bool has_chain =
      n.kind == NodeKind::List || n.kind == NodeKind::Dict || n.kind == NodeKind::Set || n.kind == NodeKind::FrozenSet;
  if (!has_chain) return {};
  return items(ItemChain{n.low(), n.high()});
}

std::span<const NodeId> PickleTree::tuple(NodeId node) const {
  const Node& n = nodes_[node];
  if (n.kind != NodeKind::Tuple) return {};
  return std::span(pool_).subspan(n.low(), n.high());
}

NodeId PickleTree::push(Node node) {
  nodes_.push_back(node);
  return static_cast<NodeId>(nodes_.size() - 1);
}

NodeId PickleTree::add(NodeKind kind, std::uint64_t at, std::int64_t integer) {
  return push({kind, false, static_cast<std::uint32_t>(at), std::bit_cast<std::uint64_t>(integer)});
}

NodeId PickleTree::add_real(std::uint64_t at, double number) {
  return push({NodeKind::Real, false, static_cast<std::uint32_t>(at), std::bit_cast<std::uint64_t>(number)});
}

NodeId PickleTree::add_bytes(NodeKind kind, std::uint64_t at, std::string_view in_stream) {
  const char* const start = base::as_text(stream_).data();
  TENON_ASSERT(in_stream.empty() ||
               (in_stream.data() >= start && in_stream.data() + in_stream.size() <= start + stream_.size()));
  const auto offset = in_stream.empty() ? 0 : static_cast<std::uint64_t>(in_stream.data() - start);
  return push({kind, false, static_cast<std::uint32_t>(at), places(offset, in_stream.size())});
}

NodeId PickleTree::add_unescaped(NodeKind kind, std::uint64_t at, std::string bytes) {
  unescaped_.push_back(std::move(bytes));
  return push({kind, true, static_cast<std::uint32_t>(at), places(unescaped_.size() - 1, 0)});
}

NodeId PickleTree::add_tuple(std::uint64_t at, std::span<const NodeId> items) {
  const std::uint64_t begin = pool_.size();
  pool_.insert(pool_.end(), items.begin(), items.end());
  return push({NodeKind::Tuple, false, static_cast<std::uint32_t>(at), places(begin, items.size())});
}

NodeId PickleTree::add_container(NodeKind kind, std::uint64_t at, std::span<const NodeId> items) {
  const NodeId node = push({kind, false, static_cast<std::uint32_t>(at), places(kNoNode, kNoNode)});
  append(node, items);
  return node;
}

NodeId PickleTree::add_global(const PickleGlobal& global) {
  globals_.push_back(global);
  return push({NodeKind::Global, false, global.at, places(globals_.size() - 1, 0)});
}

NodeId PickleTree::add_call(std::uint64_t at, const PickleCall& call) {
  calls_.push_back(call);
  return push({NodeKind::Call, false, static_cast<std::uint32_t>(at), places(calls_.size() - 1, 0)});
}

NodeId PickleTree::add_persistent(std::uint64_t at, NodeId id) {
  return push({NodeKind::Persistent, false, static_cast<std::uint32_t>(at), places(id, 0)});
}

void PickleTree::append(NodeId container, std::span<const NodeId> items) {
  Node& n = nodes_[container];
  ItemChain chain{n.low(), n.high()};
  append(chain, items);
  n.payload = places(chain.first, chain.last);
}

void PickleTree::append(ItemChain& chain, std::span<const NodeId> items) {
  if (items.empty()) return;
  const auto begin = static_cast<std::uint32_t>(pool_.size());
  const auto count = static_cast<std::uint32_t>(items.size());
  pool_.insert(pool_.end(), items.begin(), items.end());
  // A pickle that appends one by one still gets one run.
  if (chain.last != kNoNode && runs_[chain.last].begin + runs_[chain.last].count == begin) {
    runs_[chain.last].count += count;
    return;
  }
  runs_.push_back({begin, count, kNoNode});
  const auto run = static_cast<std::uint32_t>(runs_.size() - 1);
  if (chain.last == kNoNode)
    chain.first = run;
  else
    runs_[chain.last].next = run;
  chain.last = run;
}

void PickleTree::finish(NodeId root, std::uint64_t stream_bytes, int protocol) {
  root_ = root;
  stream_bytes_ = stream_bytes;
  protocol_ = protocol;
}

}  // namespace tenon::container
