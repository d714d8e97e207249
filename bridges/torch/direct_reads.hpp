// Tensors that are read from the file straight into the module, checked on the way (Checking::WhileReading).
#pragma once

#include <cstddef>
#include <utility>
#include <vector>

#include <tenon/listing.hpp>

#include "torch/match.hpp"
#include "torch/state.hpp"

namespace tenon::torch_bridge {

class DirectReads {
 public:
  /// Takes those of `pairs` for itself whose stored bytes are the live tensor's as they are: one dtype, dense, on the
  /// CPU, in memory that no other tensor of the module shares.
  DirectReads(std::vector<Pair>& pairs, const Listing& checkpoint, const std::vector<NamedTensor>& live);

  std::size_t size() const { return reads_.size(); }

  /// On two threads, the largest first. An Error says that the module is loaded in part.
  void run() const;

 private:
  struct Read {
    std::size_t stored = 0;  ///< index into the checkpoint
    ::torch::Tensor live;
  };
  const Listing& checkpoint_;
  std::vector<Read> reads_;
};

}  // namespace tenon::torch_bridge
