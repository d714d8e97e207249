// The operations of one run, seen through LibTorch's RecordFunction callbacks: outermost calls only, in this thread.
#pragma once

#include <functional>
#include <memory>
#include <utility>
#include <vector>

#include <torch/torch.h>

#include <tenon/blueprint.hpp>

#include "torch/state.hpp"

namespace tenon::torch_bridge {

struct Recording {
  Graph graph;
  std::vector<ProbeTensor> samples;  ///< outputs of modules with tensors, and of the operations between them
  std::vector<Unsaved> unsaved;      ///< tensors that an operation takes and nothing registered, gave or made
  std::vector<std::pair<::torch::Tensor, ::torch::Tensor>> written;  ///< of the module, and their values before
};

/// Runs `work`, which returns what a model returns, and writes down what it calls; the last node is `output`. The graph
/// has no cycles: an operand is known before the call it is for. Passes on what `work` throws.
Recording record(const std::vector<NamedTensor>& state, const std::vector<::torch::Tensor>& inputs,
                 const std::function<std::vector<::torch::Tensor>()>& work);

}  // namespace tenon::torch_bridge
