// What a LibTorch user relies on: bit for bit there and back, all checks before the first copy, optimizers by name.
#include <gtest/gtest.h>

#include <fstream>
#include <sstream>

#include <tenon/torch.hpp>

#include "support/folder.hpp"

namespace tenon::torch {
namespace {

namespace nn = ::torch::nn;

struct NetImpl : nn::Module {
  nn::Conv2d conv{nullptr};
  nn::BatchNorm2d norm{nullptr};
  nn::Linear fc{nullptr};
  explicit NetImpl(std::int64_t classes = 3) {
    conv = register_module("conv", nn::Conv2d(1, 4, 3));
    norm = register_module("norm", nn::BatchNorm2d(4));
    fc = register_module("fc", nn::Linear(4, classes));
  }
  ::torch::Tensor forward(const ::torch::Tensor& x) { return fc(norm(conv(x)).mean({2, 3})); }
};
TORCH_MODULE(Net);

struct WrappedImpl : nn::Module {
  Net backbone{nullptr};
  WrappedImpl() { backbone = register_module("backbone", Net()); }
};
TORCH_MODULE(Wrapped);

using Tensors = std::vector<std::pair<std::string, ::torch::Tensor>>;

Tensors tensors_of(const nn::Module& module) {
  Tensors all;
  for (const auto& row : module.named_parameters()) all.emplace_back(row.key(), row.value().detach().clone());
  for (const auto& row : module.named_buffers()) all.emplace_back(row.key(), row.value().detach().clone());
  return all;
}

bool same(const Tensors& a, const Tensors& b) {
  if (a.size() != b.size()) return false;
  for (std::size_t i = 0; i < a.size(); ++i)
    if (a[i].first != b[i].first || !a[i].second.equal(b[i].second)) return false;
  return true;
}

std::string bytes_of(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  std::stringstream all;
  all << in.rdbuf();
  return all.str();
}

using BridgeTest = test::TemporaryFolder;

TEST_F(BridgeTest, AModuleComesBackBitForBitFromBothFormats) {
  for (const char* name : {"a.safetensors", "a.pt"}) {
    Net saved, loaded;
    saved->forward(::torch::randn({2, 1, 5, 5}));  // moves the running statistics
    save(*saved, path(name));
    ASSERT_FALSE(same(tensors_of(*saved), tensors_of(*loaded)));
    const LoadReport report = load(*loaded, path(name));
    EXPECT_EQ(report.loaded, 9U);
    EXPECT_TRUE(same(tensors_of(*saved), tensors_of(*loaded))) << name;
    EXPECT_TRUE(check(*loaded, path(name)).fits.value_or(false));
  }
}

/// A load that must throw and change nothing. Returns what was thrown.
Error refused(nn::Module& module, const std::string& path, const LoadOptions& options = {}) {
  const Tensors before = tensors_of(module);
  try {
    load(module, path, options);
  } catch (const Error& error) {
    EXPECT_TRUE(same(before, tensors_of(module))) << "the module was changed before the load threw";
    return error;
  }
  ADD_FAILURE() << "the load went through";
  return Error(Code::Invalid, {}, "none");
}

TEST_F(BridgeTest, AllProblemsAreNamedAtOnceAndNothingChanges) {
  Net saved(5);
  save(*saved, path("a.pt"));
  Net three;
  EXPECT_NE(refused(*three, path("a.pt")).found.find("2 mismatched"), std::string::npos);
  Wrapped wrapped;
  const Error error = refused(*wrapped, path("a.pt"));
  EXPECT_NE(error.found.find("9 missing"), std::string::npos) << error.found;
  EXPECT_NE(error.found.find("9 unexpected"), std::string::npos) << error.found;
}

TEST_F(BridgeTest, AWrongChecksumIsFoundBeforeTheFirstCopy) {
  Net saved, loaded;
  save(*saved, path("a.pt"));
  std::string bytes = bytes_of(path("a.pt"));
  const float value =
      saved->fc->weight[1][1].item<float>();  // the last parameter: others would have been copied by then
  const std::size_t at = bytes.find(std::string(reinterpret_cast<const char*>(&value), sizeof value));
  ASSERT_NE(at, std::string::npos);
  bytes[at] = static_cast<char>(bytes[at] ^ 1);
  test::put(path("b.pt"), bytes);
  EXPECT_EQ(refused(*loaded, path("b.pt")).code, Code::Corrupt);
}

TEST_F(BridgeTest, TheExactPartOfThePlanIsCarriedOutWhenAsked) {
  Net saved(5);
  save(*saved, path("a.pt"));
  Wrapped model;
  const auto own_head = model->backbone->fc->weight.detach().clone();
  const LoadReport report = load(*model, path("a.pt"), {.repair = Repair::Exact});
  EXPECT_EQ(report.loaded, 7U);
  EXPECT_EQ(report.kept.size(), 2U);
  EXPECT_TRUE(model->backbone->conv->weight.equal(saved->conv->weight));
  EXPECT_TRUE(model->backbone->fc->weight.equal(own_head));
}

TEST_F(BridgeTest, ALossyDTypeIsRefusedAndALosslessOneReported) {
  Net wide;
  wide->to(::torch::kFloat64);
  {
    ::torch::NoGradGuard no_grad;
    wide->fc->weight.fill_(0.1);
  }
  save(*wide, path("wide.pt"));
  Net narrow;
  refused(*narrow, path("wide.pt"));
  EXPECT_FALSE(load(*narrow, path("wide.pt"), {.accept = {.lossy = true, .guess = false}}).dtype_changes.empty());

  save(*narrow, path("narrow.pt"));
  Net back;
  back->to(::torch::kFloat64);
  const LoadReport report = load(*back, path("narrow.pt"));
  EXPECT_FALSE(report.dtype_changes.empty());
  EXPECT_TRUE(back->fc->weight.equal(narrow->fc->weight.to(::torch::kFloat64)));
}

TEST_F(BridgeTest, NonsenseIsNotSaved) {
  struct Empty : nn::Module {
  } empty;
  EXPECT_THROW(save(empty, path("a.pt")), Error);
  nn::Linear meta(nn::LinearOptions(2, 2));
  meta->weight = ::torch::empty({2, 2}, ::torch::TensorOptions().device(::torch::kMeta));
  meta->register_parameter("other", meta->weight);
  EXPECT_THROW(save(*meta, path("a.pt")), Error);
  EXPECT_EQ(entries(), 0U);
}

TEST_F(BridgeTest, ATieIsKeptInAPyTorchZip) {
  struct Tied : nn::Module {
    ::torch::Tensor a, b;
    Tied() {
      a = register_parameter("a", ::torch::randn({2, 3}));
      b = register_parameter("b", a);
    }
  } tied;
  save(tied, path("a.pt"));
  const Checkpoint checkpoint = open(path("a.pt"));
  ASSERT_EQ(checkpoint.tensors().size(), 2U);
  EXPECT_EQ(checkpoint.tensors()[0].storage, checkpoint.tensors()[1].storage);
}

TEST_F(BridgeTest, LibTorchReadsThePlainDict) {
  Net saved;
  save(*saved, path("a.pt"));
  const std::string bytes = bytes_of(path("a.pt"));
  const auto dict = ::torch::pickle_load({bytes.begin(), bytes.end()}).toGenericDict();
  EXPECT_EQ(dict.size(), 9U);
  EXPECT_TRUE(dict.at("fc.weight").toTensor().equal(saved->fc->weight));
  EXPECT_TRUE(dict.at("norm.num_batches_tracked").toTensor().equal(saved->norm->num_batches_tracked));
}

void step(Net& net, ::torch::optim::Optimizer& optimizer) {
  ::torch::manual_seed(3);
  optimizer.zero_grad();
  net->forward(::torch::randn({4, 1, 5, 5})).pow(2).sum().backward();
  optimizer.step();
}

template <class Optimizer, class Options>
void expect_resumed(const Options& options, const std::string& path) {
  Net first;
  Optimizer trained(first->parameters(), options);
  step(first, trained);
  step(first, trained);
  save(*first, trained, path, {.existing = Existing::Replace});

  Net second;
  load(*second, path);
  auto parameters = second->parameters();
  std::reverse(parameters.begin(), parameters.end());  // another order: only names can bring the state home
  Optimizer resumed(parameters, options);
  load_optimizer(*second, resumed, path);
  step(first, trained);
  step(second, resumed);
  EXPECT_TRUE(same(tensors_of(*first), tensors_of(*second)));

  Net other(7);
  Optimizer fresh(other->parameters(), options);
  EXPECT_THROW(load_optimizer(*other, fresh, path), LoadError);
  EXPECT_TRUE(fresh.state().empty());
}

TEST_F(BridgeTest, OptimizersAreResumedByName) {
  using namespace ::torch::optim;
  expect_resumed<SGD>(SGDOptions(0.1).momentum(0.9), path("sgd.pt"));
  expect_resumed<Adam>(AdamOptions(1e-2).amsgrad(true), path("adam.safetensors"));
  expect_resumed<AdamW>(AdamWOptions(1e-2), path("adamw.pt"));
}

}  // namespace
}  // namespace tenon::torch
