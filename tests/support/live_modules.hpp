// Small live modules for the bridge's tests, and ways to compare what they hold before and after.
#pragma once

#include <algorithm>
#include <cstddef>
#include <string>
#include <tuple>
#include <vector>

#include <torch/torch.h>

// Not inside tenon, where `torch` is the bridge: TORCH_MODULE means the other one.
namespace tenon_test {

/// The twin of `Block` in tests/conformance/generate.py: what Python's torch saved loads into it.
struct BlockImpl : torch::nn::Module {
  torch::nn::Conv2d conv{nullptr};
  torch::nn::BatchNorm2d norm{nullptr};
  torch::Tensor scale;

  BlockImpl() {
    scale = register_buffer("scale", torch::arange(3).to(torch::kFloat32));
    conv = register_module("conv", torch::nn::Conv2d(2, 3, 3));
    norm = register_module("norm", torch::nn::BatchNorm2d(3));
  }
  torch::Tensor forward(const torch::Tensor& x) { return norm(conv(x)) * scale[2]; }
};
TORCH_MODULE(Block);

/// All that a load may not change when it throws: values bit for bit, and how they are held.
struct Held {
  std::string name, values;
  const void* memory = nullptr;
  torch::ScalarType dtype = torch::kFloat32;
  std::vector<std::int64_t> shape, stride;
  bool requires_grad = false;

  friend bool operator==(const Held& a, const Held& b) {
    const auto all = [](const Held& h) {
      return std::tie(h.name, h.values, h.memory, h.dtype, h.shape, h.stride, h.requires_grad);
    };
    return all(a) == all(b);
  }
};

inline std::string value_bytes(const torch::Tensor& tensor) {
  const torch::Tensor dense = tensor.detach().contiguous();
  return {static_cast<const char*>(dense.data_ptr()),
          static_cast<std::size_t>(dense.numel()) * static_cast<std::size_t>(dense.element_size())};
}

inline Held held(const std::string& name, const torch::Tensor& t) {
  if (t.is_meta()) return {name, "meta", nullptr, t.scalar_type(), t.sizes().vec(), {}, t.requires_grad()};
  return {name, value_bytes(t), t.data_ptr(), t.scalar_type(), t.sizes().vec(), t.strides().vec(), t.requires_grad()};
}

inline std::vector<Held> held_by(const torch::nn::Module& module) {
  std::vector<Held> all;
  for (const auto& row : module.named_parameters()) all.push_back(held(row.key(), row.value()));
  for (const auto& row : module.named_buffers()) all.push_back(held(row.key(), row.value()));
  return all;
}

/// Same names, dtypes, shapes and bits; memory and strides may differ.
inline bool same_values(const torch::nn::Module& a, const torch::nn::Module& b) {
  const auto one = held_by(a), other = held_by(b);
  return std::equal(one.begin(), one.end(), other.begin(), other.end(), [](const Held& x, const Held& y) {
    return x.name == y.name && x.values == y.values && x.dtype == y.dtype && x.shape == y.shape;
  });
}

}  // namespace tenon_test
