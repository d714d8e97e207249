// The operations of one run, seen through LibTorch's RecordFunction callbacks: outermost calls only, in this thread.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <utility>
#include <vector>

#include <torch/torch.h>

#include <tenon/blueprint.hpp>

#include "torch/state.hpp"

namespace tenon::torch_bridge {

/// When to stop writing down what a run calls. The run goes on: nothing outside can stop it.
struct RecordLimits {
  std::chrono::steady_clock::time_point deadline = std::chrono::steady_clock::time_point::max();
  std::size_t operations = 100'000;
};

struct Recording {
  Graph graph;
  std::vector<ProbeTensor> samples;  ///< outputs of modules with tensors, and of the operations between them
  std::vector<Unsaved> unsaved;      ///< tensors that an operation takes and nothing registered, gave or made
  bool is_late = false;              ///< the deadline passed before the run's end: the rest is not in here
  bool is_full = false;              ///< there were more operations than are written down
  std::vector<std::pair<::torch::Tensor, ::torch::Tensor>> written;  ///< of the module, and their values before
};

/// Runs `work`, which returns what a model returns, and writes down what it calls; the last node is `output`. The graph
/// has no cycles: an operand is known before the call it is for. Passes on what `work` throws.
Recording record(const std::vector<NamedTensor>& state, const std::vector<::torch::Tensor>& inputs,
                 const std::function<std::vector<::torch::Tensor>()>& work, const RecordLimits& limits = {});

/// Gives the tensors of the module that the run wrote into their values back; record() does it where `work` throws.
void give_back(const Recording& recording);

}  // namespace tenon::torch_bridge
