#include "torch/optimizer_options.hpp"

#include <tuple>

#include <tenon/error.hpp>

namespace tenon::torch_bridge {
namespace {

namespace optim = ::torch::optim;

std::vector<double> row(const optim::SGDOptions& options) {
  return {options.lr(), options.momentum(), options.dampening(), options.weight_decay(),
          options.nesterov() ? 1.0 : 0.0};
}

template <class AdamLike>
std::vector<double> row(const AdamLike& options) {
  const auto [beta1, beta2] = options.betas();
  return {options.lr(), beta1, beta2, options.eps(), options.weight_decay(), options.amsgrad() ? 1.0 : 0.0};
}

void take(optim::SGDOptions& options, std::span<const double> row) {
  options.lr(row[0]).momentum(row[1]).dampening(row[2]).weight_decay(row[3]).nesterov(row[4] != 0);
}

template <class AdamLike>
void take(AdamLike& options, std::span<const double> row) {
  options.lr(row[0]).betas({row[1], row[2]}).eps(row[3]).weight_decay(row[4]).amsgrad(row[5] != 0);
}

}  // namespace

Kind kind_of(const optim::Optimizer& optimizer) {
  if (dynamic_cast<const optim::SGD*>(&optimizer)) return Kind::Sgd;
  if (dynamic_cast<const optim::Adam*>(&optimizer)) return Kind::Adam;
  if (dynamic_cast<const optim::AdamW*>(&optimizer)) return Kind::AdamW;
  throw Error(Code::Unsupported, {}, "the state of this optimizer cannot be saved or restored", "SGD, Adam or AdamW");
}

std::vector<double> options_of(const optim::OptimizerParamGroup& group, Kind kind) {
  switch (kind) {
    case Kind::Sgd: return row(static_cast<const optim::SGDOptions&>(group.options()));
    case Kind::Adam: return row(static_cast<const optim::AdamOptions&>(group.options()));
    case Kind::AdamW: return row(static_cast<const optim::AdamWOptions&>(group.options()));
  }
  throw Bug("unknown Kind");
}

void set_options(optim::OptimizerParamGroup& group, Kind kind, std::span<const double> options) {
  switch (kind) {
    case Kind::Sgd: return take(static_cast<optim::SGDOptions&>(group.options()), options);
    case Kind::Adam: return take(static_cast<optim::AdamOptions&>(group.options()), options);
    case Kind::AdamW: return take(static_cast<optim::AdamWOptions&>(group.options()), options);
  }
}

}  // namespace tenon::torch_bridge
