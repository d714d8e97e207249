// A layer without weights is added to a model after training. Every name and every shape still fits, a strict load says
// nothing, and the model returns another number of rows. The blueprint inside the file notices.
#include <cstdio>
#include <filesystem>
#include <string>

#include <tenon/render.hpp>
#include <tenon/torch_blueprint.hpp>

#include "scratch_folder.hpp"

namespace {

struct TrainedNetImpl : torch::nn::Module {
  torch::nn::Conv2d conv1{nullptr}, conv2{nullptr};
  torch::nn::Linear fc{nullptr};
  TrainedNetImpl() {
    conv1 = register_module("conv1", torch::nn::Conv2d(3, 16, 3));
    conv2 = register_module("conv2", torch::nn::Conv2d(16, 32, 3));
    fc = register_module("fc", torch::nn::Linear(32 * 5 * 5, 10));
  }
  torch::Tensor forward(const torch::Tensor& x) { return fc(conv2(conv1(x)).view({-1, 32 * 5 * 5})); }
};
TORCH_MODULE(TrainedNet);

struct ChangedNetImpl : torch::nn::Module {
  torch::nn::Conv2d conv1{nullptr}, conv2{nullptr};
  torch::nn::MaxPool2d pool{nullptr};
  torch::nn::Linear fc{nullptr};
  ChangedNetImpl() {
    conv1 = register_module("conv1", torch::nn::Conv2d(3, 16, 3));
    conv2 = register_module("conv2", torch::nn::Conv2d(16, 32, 3));
    pool = register_module("pool", torch::nn::MaxPool2d(torch::nn::MaxPool2dOptions(2).stride(2)));
    fc = register_module("fc", torch::nn::Linear(32 * 5 * 5, 10));
  }
  torch::Tensor forward(const torch::Tensor& x) { return fc(pool(conv2(conv1(x))).view({-1, 32 * 5 * 5})); }
};
TORCH_MODULE(ChangedNet);

}  // namespace

int main() {
  const tenon_example::ScratchFolder folder;
  torch::manual_seed(1);
  TrainedNet trained;
  ChangedNet changed;

  std::puts("What LibTorch does");
  torch::save(trained, folder.file("model.pt"));
  torch::load(changed, folder.file("model.pt"));
  std::puts("  torch::load into the model with one more layer: no error, no warning");
  for (const int side : {14, 10}) {
    const torch::Tensor images = torch::randn({25, 3, side, side});
    std::printf("  25 images of %dx%d: %ld rows before, %ld rows now\n", side, side,
                static_cast<long>(trained->forward(images).size(0)),
                static_cast<long>(changed->forward(images).size(0)));
  }

  std::puts("\nWhat tenon does");
  const auto images = tenon::torch::example_inputs(1, {{{25, 3, 14, 14}}});
  const std::string path = folder.file("model.safetensors");
  const tenon::Blueprint saved = tenon::torch::blueprint(trained, images);
  for (const std::string& finding : saved.probe->findings) std::printf("  at save: %s\n", finding.c_str());
  tenon::torch::save(*trained, path, saved);
  try {
    tenon::torch::load(*changed, path);
  } catch (const tenon::torch::LoadError& error) {
    std::printf("  load refuses: %s\n\n", error.found.c_str());
    const tenon::Report report = tenon::torch::check(*changed, tenon::torch::blueprint(changed, images), path);
    std::fputs(tenon::render_text(report, {}, tenon::TextStyle{}).c_str(), stdout);
    for (const tenon::Cause& cause : report.causes)
      if (cause.id == "parameter_free_change") return 0;
  }
  std::puts("tenon did not notice");
  return 1;
}
