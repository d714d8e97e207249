// ValueMaker: copies the tensor-free parts of a pickle out as plain Values.
#pragma once

#include <cstdint>
#include <vector>

#include <tenon/limits.hpp>
#include <tenon/value.hpp>

#include "formats/pickle_graph.hpp"

namespace tenon::formats {

class ValueMaker {
 public:
  /// One maker serves one file: `Limits::object_values` counts over all that it makes. Both arguments must outlive it.
  ValueMaker(const PickleGraph& graph, const Limits& limits);

  /// A deep copy of the value at `node`. What refers to an enclosing value, or lies beyond a limit, comes out as
  /// Elided.
  Value make(NodeId node);

  bool met_cycle() const { return met_cycle_; }
  bool met_limit() const { return met_limit_; }

 private:
  bool spend();
  Value make_call(NodeId node);
  Value make_record(NodeId node);
  Value make_scalar(NodeId node);
  Value make_items(NodeId node);
  Value make_pairs(NodeId node);

  const PickleGraph& graph_;
  const container::PickleTree& tree_;
  const Limits& limits_;
  std::vector<bool> open_;  ///< nodes whose value is being made
  std::uint64_t made_ = 0;
  std::uint64_t depth_ = 0;
  bool met_cycle_ = false;
  bool met_limit_ = false;
};

}  // namespace tenon::formats
