// First use: saves a module, loads it into another, and shows that a wrong file is refused before anything changes.
#include <cstdio>

#include <tenon/torch.hpp>

#include "scratch_folder.hpp"

int main() {
  const tenon_example::ScratchFolder folder;
  const std::string path = folder.file("model.safetensors");
  torch::nn::Linear trained(4, 3), fresh(4, 3), other(4, 2);

  tenon::torch::save(*trained, path);
  const tenon::torch::LoadReport report = tenon::torch::load(*fresh, path);
  std::printf("%zu tensors loaded, equal: %s\n", report.loaded,
              torch::equal(trained->weight, fresh->weight) ? "yes" : "no");

  const torch::Tensor before = other->weight.detach().clone();
  try {
    tenon::torch::load(*other, path);
    std::puts("a file of the wrong shape was loaded");
    return 1;
  } catch (const tenon::torch::LoadError& error) {
    std::printf("refused: %s\n", error.found.c_str());
    for (const tenon::Cause& cause : error.report.causes) std::printf("cause: %s\n", cause.summary.c_str());
  }
  std::printf("unchanged: %s\n", torch::equal(before, other->weight) ? "yes" : "no");
  return torch::equal(before, other->weight) ? 0 : 1;
}
