// What blueprint and probe cost on a ResNet-18, through LibTorch: against saving plus one forward pass.
//
//   plain: the same tensors saved without a blueprint, one forward pass in evaluation mode without gradients
//   with:  blueprint(model, images), whose run is that forward pass; save(module, path, blueprint)
//
// The extra is with - plain, as a share of plain; rounds of both alternate, the median of their differences counts. CPU
// time of the process is measured as well as the clock: other processes do not disturb it.
//
// usage: blueprint_overhead [batch [rounds]]
#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <filesystem>
#include <string>
#include <vector>

#include <torch/torch.h>

#include <tenon/torch_blueprint.hpp>

namespace {

namespace nn = torch::nn;

nn::Conv2d conv(int in, int out, int window, int stride, int padding) {
  return nn::Conv2d(nn::Conv2dOptions(in, out, window).stride(stride).padding(padding).bias(false));
}

struct BlockImpl : nn::Module {
  nn::Conv2d conv1{nullptr}, conv2{nullptr};
  nn::BatchNorm2d bn1{nullptr}, bn2{nullptr};
  nn::Sequential downsample{nullptr};

  BlockImpl(int in, int out, int stride) {
    conv1 = register_module("conv1", conv(in, out, 3, stride, 1));
    bn1 = register_module("bn1", nn::BatchNorm2d(out));
    conv2 = register_module("conv2", conv(out, out, 3, 1, 1));
    bn2 = register_module("bn2", nn::BatchNorm2d(out));
    if (stride != 1 || in != out)
      downsample = register_module("downsample", nn::Sequential(conv(in, out, 1, stride, 0), nn::BatchNorm2d(out)));
  }
  torch::Tensor forward(const torch::Tensor& x) {
    const torch::Tensor kept = downsample ? downsample->forward(x) : x;
    return torch::relu(bn2(conv2(torch::relu(bn1(conv1(x))))) + kept);
  }
};
TORCH_MODULE(Block);

struct ResNet18Impl : nn::Module {
  nn::Conv2d conv1{nullptr};
  nn::BatchNorm2d bn1{nullptr};
  std::vector<nn::Sequential> layers;
  nn::Linear fc{nullptr};

  ResNet18Impl() {
    conv1 = register_module("conv1", conv(3, 64, 7, 2, 3));
    bn1 = register_module("bn1", nn::BatchNorm2d(64));
    int in = 64;
    for (const int out : {64, 128, 256, 512}) {
      const std::string name = "layer" + std::to_string(layers.size() + 1);
      layers.push_back(register_module(name, nn::Sequential(Block(in, out, in == out ? 1 : 2), Block(out, out, 1))));
      in = out;
    }
    fc = register_module("fc", nn::Linear(512, 1000));
  }
  torch::Tensor forward(torch::Tensor x) {
    x = torch::max_pool2d(torch::relu(bn1(conv1(x))), 3, 2, 1);
    for (nn::Sequential& layer : layers) x = layer->forward(x);
    return fc(torch::adaptive_avg_pool2d(x, {1, 1}).flatten(1));
  }
};
TORCH_MODULE(ResNet18);

/// The module's tensors as tenon saves them, and no blueprint.
void save_alone(const ResNet18& model, const std::string& path, const tenon::SaveOptions& options) {
  tenon::Snapshot snapshot;
  const auto add = [&](const std::string& name, const torch::Tensor& live) {
    tenon::Tensor tensor;
    tensor.dtype = live.scalar_type() == torch::kInt64 ? tenon::DType::Int64 : tenon::DType::Float32;
    tensor.shape = live.sizes().vec();
    tensor.stride = live.strides().vec();
    tensor.storage = {static_cast<const std::byte*>(live.data_ptr()),
                      static_cast<std::size_t>(live.numel()) * live.element_size()};
    tenon::add_tensor(snapshot, name, tensor);
  };
  for (const auto& row : model->named_parameters()) add(row.key(), row.value());
  for (const auto& row : model->named_buffers()) add(row.key(), row.value());
  tenon::save(snapshot, path, options);
}

struct Cost {
  double clock = 0, cpu = 0;  ///< milliseconds
};

template <class Work>
Cost cost_of(const Work& work) {
  const auto clock = std::chrono::steady_clock::now();
  const std::clock_t cpu = std::clock();
  work();
  const std::chrono::duration<double, std::milli> took = std::chrono::steady_clock::now() - clock;
  return {took.count(), 1e3 * static_cast<double>(std::clock() - cpu) / CLOCKS_PER_SEC};
}

double median(std::vector<double> values) {
  std::nth_element(values.begin(), values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2), values.end());
  return values[values.size() / 2];
}

void report(const char* name, const std::vector<double>& plain, const std::vector<double>& with) {
  std::vector<double> extra;
  for (std::size_t i = 0; i < plain.size(); ++i) extra.push_back(with[i] - plain[i]);
  const double least = *std::min_element(plain.begin(), plain.end());
  const double least_extra = *std::min_element(with.begin(), with.end()) - least;
  std::printf(
      "%s: save + forward %.1f ms, blueprint and probe add %.1f ms = %.1f %%; least of all rounds: %.1f ms, %.1f ms = "
      "%.1f %%\n",
      name, median(plain), median(extra), 100 * median(extra) / median(plain), least, least_extra,
      100 * least_extra / least);
}

}  // namespace

int main(int argc, char** argv) {
  const int batch = argc > 1 ? std::atoi(argv[1]) : 8, rounds = argc > 2 ? std::atoi(argv[2]) : 9;
  torch::set_num_threads(1);
  ResNet18 model;
  model->eval();
  const torch::Tensor images = torch::randn({batch, 3, 224, 224});
  const std::string path = (std::filesystem::temp_directory_path() / "tenon-overhead.safetensors").string();
  const tenon::SaveOptions replace{.existing = tenon::Existing::Replace};
  const auto plain = [&] {
    save_alone(model, path, replace);
    const torch::NoGradGuard no_grad;
    model->forward(images);
  };
  const auto with = [&] { tenon::torch::save(*model, path, tenon::torch::blueprint(model, {{images}}), replace); };
  plain();
  with();
  std::vector<double> clock, cpu, with_clock, with_cpu;
  for (int round = 0; round < rounds; ++round) {
    const Cost one = cost_of(plain), other = cost_of(with);
    clock.push_back(one.clock);
    cpu.push_back(one.cpu);
    with_clock.push_back(other.clock);
    with_cpu.push_back(other.cpu);
  }
  report("clock", clock, with_clock);
  report("cpu", cpu, with_cpu);
  std::filesystem::remove(path);
}
