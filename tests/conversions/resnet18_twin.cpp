// ResNet-18 written by hand for LibTorch, in names of its own: what torchvision's weights are moved into by run.py.
//
//   resnet18_twin save FILE                a twin with random weights, by torch::save
//   resnet18_twin run CHECKPOINT IN OUT    loads CHECKPOINT strictly, runs the tensor in IN, writes the output to OUT
//
// IN and OUT are pickled tensors (torch.save in Python, torch::pickle_save here).
#include <fstream>
#include <iostream>
#include <iterator>
#include <string>
#include <vector>

#include <tenon/torch.hpp>

namespace {

using torch::Tensor;

struct NormedConvImpl : torch::nn::Module {
  NormedConvImpl(int64_t inputs, int64_t outputs, int64_t kernel, int64_t stride)
      : conv(register_module(
            "conv",
            torch::nn::Conv2d(
                torch::nn::Conv2dOptions(inputs, outputs, kernel).stride(stride).padding(kernel / 2).bias(false)))),
        norm(register_module("norm", torch::nn::BatchNorm2d(outputs))) {}
  Tensor forward(const Tensor& x) { return norm(conv(x)); }

  torch::nn::Conv2d conv;
  torch::nn::BatchNorm2d norm;
};
TORCH_MODULE(NormedConv);

struct UnitImpl : torch::nn::Module {
  UnitImpl(int64_t inputs, int64_t outputs, int64_t stride)
      : a(register_module("a", NormedConv(inputs, outputs, 3, stride))),
        b(register_module("b", NormedConv(outputs, outputs, 3, 1))) {
    if (stride != 1) skip = register_module("skip", NormedConv(inputs, outputs, 1, stride));
  }
  Tensor forward(const Tensor& x) {
    const Tensor y = b(torch::relu(a(x)));
    return torch::relu(y + (skip.is_empty() ? x : skip(x)));
  }

  NormedConv a, b;
  NormedConv skip{nullptr};
};
TORCH_MODULE(Unit);

struct TwinImpl : torch::nn::Module {
  TwinImpl()
      : entry(register_module("entry", NormedConv(3, 64, 7, 2))),
        classifier(register_module("classifier", torch::nn::Linear(512, 1000))) {
    int64_t inputs = 64;
    for (const int64_t width : {64, 128, 256, 512}) {
      torch::nn::Sequential stage(Unit(inputs, width, width == inputs ? 1 : 2), Unit(width, width, 1));
      stages.push_back(register_module("stage" + std::to_string(stages.size() + 1), stage));
      inputs = width;
    }
  }
  Tensor forward(Tensor x) {
    x = torch::max_pool2d(torch::relu(entry(x)), 3, 2, 1);
    for (torch::nn::Sequential& stage : stages) x = stage->forward(x);
    return classifier(torch::flatten(torch::adaptive_avg_pool2d(x, {1, 1}), 1));
  }

  NormedConv entry;
  std::vector<torch::nn::Sequential> stages;
  torch::nn::Linear classifier;
};
TORCH_MODULE(Twin);

Tensor read_tensor(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  const std::vector<char> bytes{std::istreambuf_iterator<char>(in), {}};
  return torch::pickle_load(bytes).toTensor();
}

void write_tensor(const Tensor& tensor, const std::string& path) {
  const std::vector<char> bytes = torch::pickle_save(tensor);
  std::ofstream(path, std::ios::binary).write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
}

void run(const std::string& checkpoint, const std::string& input, const std::string& output) {
  const torch::NoGradGuard no_grad;
  torch::set_num_threads(1);
  Twin twin;
  tenon::torch::load(*twin, checkpoint);  // every name, shape and dtype must fit
  twin->eval();
  write_tensor(twin(read_tensor(input)), output);
}

}  // namespace

int main(int argc, char** argv) {
  const std::vector<std::string> words(argv + 1, argv + argc);
  try {
    if (words.size() == 2 && words[0] == "save") {
      torch::manual_seed(2);
      torch::save(Twin(), words[1]);
    } else if (words.size() == 4 && words[0] == "run") {
      run(words[1], words[2], words[3]);
    } else {
      std::cerr << "usage: resnet18_twin save FILE | run CHECKPOINT IN OUT\n";
      return 2;
    }
  } catch (const std::exception& error) {
    std::cerr << error.what() << "\n";
    return 1;
  }
  return 0;
}
