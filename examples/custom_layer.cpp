// A layer of one's own. Written as it should be, it needs no save or load methods; with its layers in a plain vector
// nothing of it is saved, and no framework says so. One line in a test finds it.
#include <cstdio>
#include <memory>
#include <vector>

#include <tenon/torch_blueprint.hpp>

#include "scratch_folder.hpp"

namespace {

struct ProductImpl : torch::nn::Module {
  torch::Tensor weight;
  ProductImpl(int in, int out) { weight = register_parameter("weight", torch::randn({in, out})); }
  torch::Tensor forward(const torch::Tensor& x) { return torch::mm(x, weight); }
};
TORCH_MODULE(Product);

struct GoodNetImpl : torch::nn::Module {
  Product custom_layer{nullptr};
  GoodNetImpl() { custom_layer = register_module("custom_layer", Product(10, 5)); }
  torch::Tensor forward(const torch::Tensor& x) { return custom_layer(x); }
};
TORCH_MODULE(GoodNet);

/// The head is registered, the layers in the vector are not.
struct BrokenNetImpl : torch::nn::Module {
  std::vector<Product> layers{Product(10, 10), Product(10, 10)};
  torch::nn::Linear head{nullptr};
  BrokenNetImpl() { head = register_module("head", torch::nn::Linear(10, 5)); }
  torch::Tensor forward(torch::Tensor x) {
    for (Product& layer : layers) x = layer(x);
    return head(x);
  }
};
TORCH_MODULE(BrokenNet);

template <class Net>
bool survives() {
  const torch::Tensor input = torch::ones({4, 10});
  try {
    tenon::torch::expect_round_trip([] { return Net(); }, input);
    std::puts("  expect_round_trip: all is well");
    return true;
  } catch (const tenon::Error& error) {
    std::printf("  expect_round_trip: %s\n    %s\n    next: %s\n", error.what_happened.c_str(), error.found.c_str(),
                error.next.c_str());
    return false;
  }
}

}  // namespace

int main() {
  const tenon_example::ScratchFolder folder;
  const torch::Tensor input = torch::ones({4, 10});
  torch::manual_seed(1);

  std::puts("As it is often shown: the layer registers its weight, and save and load work");
  GoodNet good, good_loaded;
  torch::save(good, folder.file("good.pt"));
  torch::load(good_loaded, folder.file("good.pt"));
  std::printf("  LibTorch: equal outputs after loading: %s\n",
              torch::equal(good->forward(input), good_loaded->forward(input)) ? "yes" : "no");
  const bool good_survives = survives<GoodNet>();

  std::puts("\nWith its layers in a std::vector");
  BrokenNet broken, broken_loaded;
  torch::save(broken, folder.file("broken.pt"));
  torch::load(broken_loaded, folder.file("broken.pt"));
  std::printf("  LibTorch: no error; equal outputs after loading: %s\n",
              torch::equal(broken->forward(input), broken_loaded->forward(input)) ? "yes" : "no");
  const bool broken_survives = survives<BrokenNet>();

  std::puts("\nAt the next load");
  const std::string path = folder.file("broken.safetensors");
  tenon::torch::save(*broken, path, tenon::torch::blueprint(broken, {{input}}));
  try {
    tenon::torch::load_and_probe(broken_loaded, path);
  } catch (const tenon::torch::LoadError& error) {
    std::printf("  load_and_probe refuses: %s\n", error.found.c_str());
    for (const tenon::Cause& cause : error.report.causes) {
      std::printf("  %s: %s\n", cause.id.c_str(), cause.summary.c_str());
      if (cause.id == "custom_layer_state" && good_survives && !broken_survives) return 0;
    }
  }
  std::puts("tenon did not notice");
  return 1;
}
