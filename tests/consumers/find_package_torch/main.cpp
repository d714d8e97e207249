// A LibTorch user's first program: saves a module and loads it into another.
#include <tenon/torch.hpp>

#include <cstdio>

int main() {
  torch::nn::Linear trained(4, 3), fresh(4, 3);
  tenon::torch::save(*trained, "linear.safetensors", {.existing = tenon::Existing::Replace});
  tenon::torch::load(*fresh, "linear.safetensors");
  const bool equal = torch::equal(trained->weight, fresh->weight) && torch::equal(trained->bias, fresh->bias);
  std::puts(equal ? "equal" : "different");
  return equal ? 0 : 1;
}
