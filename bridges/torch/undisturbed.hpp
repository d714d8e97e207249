// A run that leaves no trace: evaluation mode, no gradients; afterwards modes, buffers and the CPU's random generator
// are as they were, also when the run throws.
#pragma once

#include <utility>
#include <vector>

#include <torch/torch.h>

namespace tenon::torch_bridge {

class Undisturbed {
 public:
  explicit Undisturbed(::torch::nn::Module& module) : generator_(at::detail::getDefaultCPUGenerator()) {
    keep(module);
    random_ = generator_.get_state().clone();
    module.eval();
  }
  ~Undisturbed() {
    for (auto& [module, was_training] : modes_) module->train(was_training);  // parents first: train() goes down
    for (auto& [buffer, before] : buffers_) put_back(buffer, before);
    generator_.set_state(random_);
  }
  Undisturbed(const Undisturbed&) = delete;
  Undisturbed& operator=(const Undisturbed&) = delete;

  /// Whether something drew random numbers since the last call, or since the beginning.
  bool drew_numbers() {
    ::torch::Tensor now = generator_.get_state().clone();
    const bool changed = !::torch::equal(now, last_.defined() ? last_ : random_);
    last_ = std::move(now);
    return changed;
  }

 private:
  /// A run may give a buffer another size. An inference tensor may be written in inference mode only.
  static void put_back(::torch::Tensor& buffer, const ::torch::Tensor& before) {
    if (buffer.is_inference()) {
      const c10::InferenceMode mode;
      buffer.resize_(before.sizes()).copy_(before);
    } else {
      if (buffer.sizes() != before.sizes()) buffer.resize_(before.sizes());
      buffer.copy_(before);
    }
  }

  void keep(::torch::nn::Module& module) {
    modes_.emplace_back(&module, module.is_training());
    for (const auto& row : module.named_buffers(/*recurse=*/false))
      if (row.value().defined() && !row.value().is_meta()) buffers_.emplace_back(row.value(), row.value().clone());
    for (const auto& child : module.children()) keep(*child);
  }

  ::torch::NoGradGuard no_grad_;
  at::Generator generator_;
  std::vector<std::pair<::torch::nn::Module*, bool>> modes_;
  std::vector<std::pair<::torch::Tensor, ::torch::Tensor>> buffers_;
  ::torch::Tensor random_, last_;
};

}  // namespace tenon::torch_bridge
