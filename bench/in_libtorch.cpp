// The LibTorch side: a model's own parameters, filled by tenon and by LibTorch's reader of Python's files.
//
//   model FILE          a module with the file's tensors as parameters, their memory touched
//   load FILE [once]    tenon::torch::load into them: names, shapes and dtypes checked, checksums verified, first or
//                       while reading
//   pickle_load FILE    read whole, torch::pickle_load, copied into the parameters by name
//   save OUT            tenon::torch::save, durable
#include <fstream>
#include <iterator>
#include <memory>

#include <torch/torch.h>

#include <tenon/checkpoint.hpp>
#include <tenon/torch.hpp>

#include "serve.hpp"

namespace {

using bench::Answer;
using bench::Arguments;

struct Node : torch::nn::Module {
  Node* below(const std::string& name) {
    for (const auto& child : named_children())
      if (child.key() == name) return dynamic_cast<Node*>(child.value().get());
    return register_module(name, std::make_shared<Node>()).get();
  }
  void add(const std::string& name, torch::Tensor value) { register_parameter(name, std::move(value), false); }
};

std::shared_ptr<Node> model;

Answer make_model(const Arguments& given) {
  const tenon::Checkpoint checkpoint = tenon::open(given.at(0));
  model = std::make_shared<Node>();
  for (const tenon::TensorInfo& info : checkpoint.tensors()) {
    Node* place = model.get();
    std::size_t begin = 0;
    for (std::size_t dot = info.name.find('.'); dot != std::string::npos; dot = info.name.find('.', begin)) {
      place = place->below(info.name.substr(begin, dot - begin));
      begin = dot + 1;
    }
    place->add(info.name.substr(begin), torch::ones(info.shape));
  }
  return {{"tensors", static_cast<double>(checkpoint.tensors().size())}};
}

Answer load(const Arguments& given) {
  std::size_t loaded = 0;
  tenon::torch::LoadOptions options;
  if (given.size() > 1) options.checking = tenon::torch::Checking::WhileReading;
  Answer answer = bench::measured([&] { loaded = tenon::torch::load(*model, given.at(0), options).loaded; });
  answer["tensors"] = static_cast<double>(loaded);
  return answer;
}

void load_by_pickle(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  const std::vector<char> bytes{std::istreambuf_iterator<char>(in), {}};
  const auto dict = torch::pickle_load(bytes).toGenericDict();
  const torch::NoGradGuard no_grad;
  auto parameters = model->named_parameters();
  for (const auto& item : dict) parameters[item.key().toStringRef()].copy_(item.value().toTensor());
}

Answer pickle_load(const Arguments& given) {
  return bench::measured([&] { load_by_pickle(given.at(0)); });
}

Answer save(const Arguments& given) {
  tenon::SaveOptions options;
  options.existing = tenon::Existing::Replace;
  return bench::measured([&] { tenon::torch::save(*model, given.at(0), options); });
}

}  // namespace

int main() {
  return bench::serve({{"model", make_model}, {"load", load}, {"pickle_load", pickle_load}, {"save", save}});
}
