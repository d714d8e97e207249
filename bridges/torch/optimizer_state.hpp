// The state of SGD, Adam and AdamW as named tensors, and back.
//
//   optimizer.state.<parameter>.<field>     field: step, exp_avg, exp_avg_sq, max_exp_avg_sq | momentum_buffer | none
//                                                  and options, the numbers of the parameter's group
//
// Source of the fields: torch/optim/{sgd,adam,adamw}.h. LibTorch itself keeps the state under the parameter's address.
#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include <torch/torch.h>

#include <tenon/listing.hpp>

#include "torch/state.hpp"

namespace tenon::torch_bridge {

inline constexpr std::string_view kOptimizerPrefix = "optimizer.state.";

bool is_optimizer_name(std::string_view name);

/// The rows of `checkpoint` that belong to a module, or those that are optimizer state.
enum class Part { Module, Optimizer };
Listing part_of(Listing checkpoint, Part part);

/// All state and options that `optimizer` holds, parameters in its own order; a parameter without state is marked by
/// `none`, so that a missing one can be told from a frozen one.
std::vector<NamedTensor> optimizer_tensors(const ::torch::nn::Module& module,
                                           const ::torch::optim::Optimizer& optimizer);

/// A new state, built beside the old one: nothing changes before commit().
class StateDraft {
 public:
  /// Plans one state per parameter of `optimizer`; `stored` tells which parameters had none when they were saved.
  StateDraft(const ::torch::nn::Module& module, ::torch::optim::Optimizer& optimizer, const Listing& stored);

  const Listing& wanted() const { return wanted_; }

  /// New memory for each wanted tensor, to be filled.
  const std::vector<NamedTensor>& allocate();

  /// Parameters that share a group of the optimizer, and were filled in with other options than its first one.
  std::vector<std::string> torn_groups() const;

  /// Replaces the optimizer's state and the options of its groups by what was filled in.
  void commit();

 private:
  struct Slot {
    ::torch::Tensor parameter;
    std::size_t group = 0;
    std::size_t begin = 0, end = 0;  ///< its rows in wanted_; the last one is its options
    bool none = false;               ///< it had no state when it was saved
  };

  ::torch::optim::Optimizer& optimizer_;
  Listing wanted_;
  std::vector<Slot> slots_;
  std::vector<NamedTensor> filled_;
};

}  // namespace tenon::torch_bridge
