// Weights in float64 go into a model in float32. LibTorch rounds them without a word; tenon measures the loss first and
// asks.
#include <cstdio>
#include <string>

#include <tenon/render.hpp>
#include <tenon/torch_blueprint.hpp>

#include "scratch_folder.hpp"

namespace {

void train_a_little(torch::nn::Linear& model) {
  torch::optim::SGD optimizer(model->parameters(), 0.01);
  const torch::Tensor x = torch::randn({16, 10}, torch::kFloat64), y = torch::randn({16, 2}, torch::kFloat64);
  for (int step = 0; step < 3; ++step) {
    optimizer.zero_grad();
    torch::mse_loss(model->forward(x), y).backward();
    optimizer.step();
  }
}

}  // namespace

int main() {
  const tenon_example::ScratchFolder folder;
  torch::manual_seed(1);

  std::puts("What LibTorch does");
  torch::nn::Linear plain(10, 2), loaded(10, 2);
  torch::save(plain, folder.file("plain.pt"));
  torch::load(loaded, folder.file("plain.pt"));
  std::printf("  as it is often written: the model is %s, its file is, too; nothing is lost\n",
              torch::toString(loaded->weight.scalar_type()));

  torch::nn::Linear precise(10, 2);
  precise->to(torch::kFloat64);
  train_a_little(precise);  // from here on its values need 53 bits
  torch::save(precise, folder.file("double.pt"));
  torch::load(loaded, folder.file("double.pt"));
  const torch::Tensor lost = (loaded->weight.to(torch::kFloat64) - precise->weight).abs();
  std::printf("  a file in Double, loaded into a model in %s: no error, no warning;\n",
              torch::toString(loaded->weight.scalar_type()));
  std::printf("  %ld of %ld weights are other numbers now, by up to %.2g: its bytes were taken for floats\n",
              static_cast<long>(lost.count_nonzero().item<std::int64_t>()), static_cast<long>(lost.numel()),
              lost.max().item<double>());

  std::puts("\nWhat tenon does");
  const std::string path = folder.file("double.safetensors");
  tenon::torch::save(*precise, path);
  torch::nn::Linear target(10, 2);
  const torch::Tensor before = target->weight.detach().clone();
  try {
    tenon::torch::load(*target, path);
  } catch (const tenon::torch::LoadError& error) {
    std::printf("  load refuses, the model is unchanged: %s\n\n", torch::equal(before, target->weight) ? "yes" : "no");
    std::fputs(tenon::render_text(error.report, {}, tenon::TextStyle{}).c_str(), stdout);
    const auto accepted = tenon::torch::load(*target, path, {.accept = {.lossy = true}});
    std::printf("\nwith accept.lossy: %zu tensors loaded, and the loss is in the report\n", accepted.loaded);
    for (const tenon::Cause& cause : error.report.causes)
      if (cause.id == "dtype_mismatch") return 0;
  }
  std::puts("tenon did not notice");
  return 1;
}
