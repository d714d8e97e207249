// save: what holds no values is refused by name and leaves no file; layout, ties and frozen parameters survive.
#include <gtest/gtest.h>

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include <tenon/async_save.hpp>
#include <tenon/torch.hpp>
#include <tenon/verify.hpp>

#include "support/folder.hpp"
#include "support/live_modules.hpp"

namespace tenon::torch {
namespace {

namespace nn = ::torch::nn;
using tenon_test::Block;
using tenon_test::same_values;

struct Loose : nn::Module {};

struct Nonsense {
  const char* name;
  std::function<void(nn::Module&)> put_in;
  Code code;
  std::vector<std::string> told;
};

::torch::Tensor meta(std::vector<std::int64_t> shape) {
  return ::torch::empty(shape, ::torch::TensorOptions().device(::torch::kMeta));
}

const Nonsense kNonsense[] = {
    {"Nothing", [](nn::Module&) {}, Code::Refused, {"nothing to save"}},
    {"UndefinedOnly",
     [](nn::Module& m) { m.register_parameter("bias", {}, false); },
     Code::Refused,
     {"nothing to save"}},
    {"EveryMetaTensor",
     [](nn::Module& m) {
       m.register_parameter("whole", ::torch::ones({2}));
       m.register_parameter("a", meta({2}));
       m.register_buffer("b", meta({3}));
     },
     Code::Refused,
     {"a (meta", "b (meta"}},
    {"ParameterWithoutElements",
     [](nn::Module& m) {
       m.register_parameter("whole", ::torch::ones({2}));
       m.register_parameter("sharded", ::torch::empty({0}));
     },
     Code::Refused,
     {"sharded (without elements)"}},
    {"Sparse",
     [](nn::Module& m) { m.register_buffer("s", ::torch::eye(3).to_sparse()); },
     Code::Refused,
     {"s (not strided)"}},
    {"Quantised",
     [](nn::Module& m) {
       m.register_buffer("q", ::torch::quantize_per_tensor(::torch::ones({2}), 0.1, 0, ::torch::kQInt8));
     },
     Code::Refused,
     {"q (of dtype"}},
};

class NotSaved : public test::TemporaryFolder, public testing::WithParamInterface<Nonsense> {};

TEST_P(NotSaved, AndNoFileAppears) {
  Loose module;
  GetParam().put_in(module);
  for (const char* name : {"a.pt", "a.safetensors"}) {
    try {
      save(module, path(name));
      ADD_FAILURE() << "the save went through";
    } catch (const Error& error) {
      EXPECT_EQ(error.code, GetParam().code) << error.what();
      const std::string line = error.what();
      for (const std::string& part : GetParam().told) EXPECT_NE(line.find(part), std::string::npos) << line;
    }
  }
  EXPECT_EQ(entries(), 0U);
}

INSTANTIATE_TEST_SUITE_P(Save, NotSaved, testing::ValuesIn(kNonsense),
                         [](const auto& row) { return std::string(row.param.name); });

using Save = test::TemporaryFolder;

TEST_F(Save, AnExistingFileIsReplacedOnlyWhenAsked) {
  Block first, second;
  save(*first, path("a.pt"));
  const std::string before = test::get(path("a.pt"));
  try {
    save(*second, path("a.pt"));
    ADD_FAILURE() << "the save went through";
  } catch (const Error& error) {
    EXPECT_EQ(error.code, Code::Exists);
  }
  EXPECT_EQ(test::get(path("a.pt")), before);
  SaveOptions replace;
  replace.existing = Existing::Replace;
  save(*second, path("a.pt"), replace);
  EXPECT_TRUE(verify(path("a.pt")).ok);
  load(*first, path("a.pt"));
  EXPECT_TRUE(same_values(*first, *second));
}

TEST_F(Save, TheSuffixNamesTheFormatAndTheOptionsDoOtherwise) {
  Block block;
  save(*block, path("a.pth"));
  save(*block, path("a.safetensors"));
  SaveOptions zip;
  zip.format = Format::PytorchZip;
  save(*block, path("plain"), zip);
  EXPECT_EQ(open(path("a.pth")).format(), Format::PytorchZip);
  EXPECT_EQ(open(path("a.safetensors")).format(), Format::Safetensors);
  EXPECT_EQ(open(path("plain")).format(), Format::PytorchZip);
}

TEST_F(Save, InTheBackgroundTheModuleIsWhatItWasAtTheCall) {
  Block module;
  save(*module, path("now.safetensors"));
  AsyncSaver saver;
  saver.save(snapshot(*module), path("later.safetensors"));
  {
    const ::torch::NoGradGuard no_grad;
    for (auto& parameter : module->parameters()) parameter.zero_();
  }
  saver.wait();
  EXPECT_EQ(tenon::test::get(path("later.safetensors")), tenon::test::get(path("now.safetensors")));
}

TEST_F(Save, TheSameModuleGivesTheSameBytes) {
  Block block;
  for (const std::string suffix : {".pt", ".safetensors"}) {
    save(*block, path("a" + suffix));
    const std::string first = test::get(path("a" + suffix));
    std::filesystem::remove(path("a" + suffix));
    save(*block, path("a" + suffix));
    EXPECT_EQ(test::get(path("a" + suffix)), first) << suffix;
  }
}

TEST_F(Save, OtherMemoryLayoutsHoldTheSameValues) {
  Block saved, loaded;
  saved->conv->weight.set_data(::torch::randn({3, 2, 3, 3}).contiguous(::torch::MemoryFormat::ChannelsLast));
  loaded->conv->weight.set_data(::torch::zeros({3, 3, 2, 3}).permute({0, 2, 1, 3}));
  const auto stride = loaded->conv->weight.strides().vec();
  for (const char* name : {"a.pt", "a.safetensors"}) {
    save(*saved, path(name));
    load(*loaded, path(name));
    EXPECT_TRUE(same_values(*saved, *loaded)) << name;
    EXPECT_EQ(loaded->conv->weight.strides().vec(), stride) << "a load changed how the model holds its values";
  }
}

TEST_F(Save, TiesComeBackInBothFormats) {
  for (const char* name : {"a.pt", "a.safetensors"}) {
    Loose saved, loaded;
    const auto one = saved.register_parameter("a", ::torch::randn({2, 3}));
    saved.register_parameter("b", one);
    const auto own = loaded.register_parameter("a", ::torch::zeros({2, 3}));
    loaded.register_parameter("b", own);
    EXPECT_EQ(list(saved).tensors[1].tied_to, "a");
    save(saved, path(name));
    EXPECT_EQ(load(loaded, path(name)).loaded, 2U);
    EXPECT_TRUE(own.equal(one)) << name;
  }
}

TEST_F(Save, FrozenParametersAndGradientsStayAsTheyAre) {
  Block saved, loaded;
  saved->conv->weight.set_requires_grad(false);
  save(*saved, path("a.pt"));
  const Checkpoint file = open(path("a.pt"));
  EXPECT_EQ(file.tensors()[*file.find("conv.weight")].requires_grad, false);
  EXPECT_EQ(file.tensors()[*file.find("conv.bias")].requires_grad, true);
  loaded->conv->bias.mutable_grad() = ::torch::ones({3});
  load(*loaded, path("a.pt"));
  EXPECT_TRUE(loaded->conv->weight.requires_grad());
  EXPECT_TRUE(loaded->conv->bias.grad().equal(::torch::ones({3})));
}

}  // namespace
}  // namespace tenon::torch
