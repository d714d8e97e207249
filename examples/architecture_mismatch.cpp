// A layer without weights is added to a model after training. Every name and every shape still fits, and the model
// returns another number of rows. LibTorch notices a registered layer, by accident of its archive, and not what forward
// calls as a function. The blueprint inside tenon's file notices both.
#include <algorithm>
#include <cstdio>
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

/// The same change as a function: nothing is registered.
struct FunctionalNetImpl : TrainedNetImpl {
  torch::Tensor forward(const torch::Tensor& x) {
    return fc(torch::max_pool2d(conv2(conv1(x)), 2, 2).view({-1, 32 * 5 * 5}));
  }
};
TORCH_MODULE(FunctionalNet);

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

/// True when tenon names the cause.
template <class Net>
bool is_caught(Net& model, const tenon::torch::Example& images, const std::string& path) {
  const tenon::Report report = tenon::torch::check(*model, tenon::torch::blueprint(model, images), path);
  std::fputs(tenon::render_text(report, {}, tenon::TextStyle{}).c_str(), stdout);
  return std::any_of(report.causes.begin(), report.causes.end(),
                     [](const tenon::Cause& cause) { return cause.id == "parameter_free_change"; });
}

/// True when a load says no.
template <class Load>
bool is_refused(Load load) {
  try {
    load();
    std::puts("no error, no warning");
    return false;
  } catch (const tenon::torch::LoadError& error) {
    std::printf("refused: %s\n", error.found.c_str());
  } catch (const c10::Error& error) {
    std::printf("refused: %s\n", error.what_without_backtrace());
  }
  return true;
}

void count_rows(TrainedNet& trained, FunctionalNet& changed) {
  for (const int side : {14, 10}) {
    const torch::Tensor images = torch::randn({25, 3, side, side});
    std::printf("  25 images of %dx%d: %ld rows before, %ld rows now\n", side, side,
                static_cast<long>(trained->forward(images).size(0)),
                static_cast<long>(changed->forward(images).size(0)));
  }
}

}  // namespace

int main() {
  const tenon_example::ScratchFolder folder;
  torch::manual_seed(1);
  TrainedNet trained;
  ChangedNet registered;
  FunctionalNet functional;

  std::puts("What LibTorch does");
  const std::string archive = folder.file("model.pt");
  torch::save(trained, archive);
  std::printf("  one registered layer more: ");
  is_refused([&] { torch::load(registered, archive); });
  std::printf("  the same layer as a function: ");
  is_refused([&] { torch::load(functional, archive); });
  count_rows(trained, functional);

  std::puts("\nWhat tenon does");
  const auto images = tenon::torch::example_inputs(1, {{{25, 3, 14, 14}}});
  const std::string path = folder.file("model.safetensors");
  const tenon::Blueprint saved = tenon::torch::blueprint(trained, images);
  for (const std::string& finding : saved.probe->findings) std::printf("  at save: %s\n", finding.c_str());
  tenon::torch::save(*trained, path, saved);
  std::printf("  one registered layer more: ");
  const bool first = is_refused([&] { tenon::torch::load(*registered, path); });
  std::printf("  the same layer as a function: ");
  const bool second = is_refused([&] { tenon::torch::load_and_probe(functional, path); });

  std::puts("\ncheck, one registered layer more:\n");
  const bool third = is_caught(registered, images, path);
  std::puts("\ncheck, the same layer as a function:\n");
  const bool fourth = is_caught(functional, images, path);
  if (first && second && third && fourth) return 0;
  std::puts("tenon did not notice");
  return 1;
}
