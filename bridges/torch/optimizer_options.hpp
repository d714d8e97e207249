// The numbers that steer a group of parameters, as one row of float64 in a fixed order.
//
//   SGD           lr, momentum, dampening, weight_decay, nesterov
//   Adam, AdamW   lr, beta1, beta2, eps, weight_decay, amsgrad          flags are 0 or 1
//
// Source: torch/optim/{sgd,adam,adamw}.h.
#pragma once

#include <span>
#include <vector>

#include <torch/torch.h>

namespace tenon::torch_bridge {

enum class Kind { Sgd, Adam, AdamW };

/// Throws Error Unsupported for other optimizers.
Kind kind_of(const ::torch::optim::Optimizer& optimizer);

/// `group` belongs to an optimizer of this kind.
std::vector<double> options_of(const ::torch::optim::OptimizerParamGroup& group, Kind kind);

/// `options` is as long as options_of() is.
void set_options(::torch::optim::OptimizerParamGroup& group, Kind kind, std::span<const double> options);

}  // namespace tenon::torch_bridge
