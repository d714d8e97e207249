// load: every way of not fitting is told before the first copy, and files of other writers find their way in.
#include <gtest/gtest.h>

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include <tenon/torch.hpp>

#include "support/folder.hpp"
#include "support/live_modules.hpp"
#include "torch/door.hpp"

namespace tenon::torch {
namespace {

namespace nn = ::torch::nn;
using tenon_test::Block;
using tenon_test::held_by;

struct Loose : nn::Module {};

/// A file written by `make`, and a module that it must not go into.
struct Refusal {
  const char* name;
  std::function<void(const std::string& path)> make;
  std::function<std::shared_ptr<nn::Module>()> model;
  LoadOptions options;
  Code code;
  std::vector<std::string> told;  ///< parts of the error's line
};

std::shared_ptr<nn::Module> block() { return Block().ptr(); }

void save_block(const std::string& path) { save(*Block(), path); }

void save_wide_block(const std::string& path) {
  Block wide;
  wide->to(::torch::kFloat64);
  ::torch::NoGradGuard no_grad;
  wide->conv->weight.fill_(0.1);
  save(*wide, path);
}

/// Flips one bit of the last value of the last stored tensor, where everything before it is whole.
void save_damaged_block(const std::string& path) {
  Block saved;
  save(*saved, path);
  std::string bytes = test::get(path);
  const std::string values = tenon_test::value_bytes(saved->norm->running_var);
  ::torch::NoGradGuard no_grad;
  const std::size_t at = bytes.rfind(values);
  ASSERT_NE(at, std::string::npos);
  bytes[at + values.size() - 1] = static_cast<char>(bytes[at + values.size() - 1] ^ 1);
  test::put(path, bytes);
}

void save_cut_block(const std::string& path) {
  save_block(path);
  const std::string bytes = test::get(path);
  test::put(path, bytes.substr(0, bytes.size() - 30));
}

std::shared_ptr<nn::Module> block_with(const std::function<void(Block&)>& change) {
  Block model;
  change(model);
  return model.ptr();
}

std::shared_ptr<nn::Module> tied() {
  auto model = std::make_shared<Loose>();
  model->register_parameter("b", model->register_parameter("a", ::torch::randn({2, 3})));
  return model;
}

void save_untied(const std::string& path) {
  Loose two;
  two.register_parameter("a", ::torch::randn({2, 3}));
  two.register_parameter("b", ::torch::randn({2, 3}));
  save(two, path);
}

const Refusal kRefusals[] = {
    {"Missing",
     save_block,
     [] { return block_with([](Block& b) { b->register_buffer("extra", ::torch::ones(2)); }); },
     {},
     Code::Invalid,
     {"1 missing (extra)"}},
    {"Unexpected",
     [](const std::string& path) {
       save(*block_with([](Block& b) { b->register_buffer("extra", ::torch::ones(2)); }), path);
     },
     block,
     {},
     Code::Invalid,
     {"1 unexpected (extra)"}},
    {"AllAtOnce",
     save_block,
     [] {
       return block_with([](Block& b) {
         b->register_buffer("extra", ::torch::ones(2));
         b->unregister_module("norm");
         b->conv->bias = b->conv->register_parameter("other_bias", ::torch::ones(3));
         b->scale.resize_({4});
       });
     },
     {},
     Code::Invalid,
     {"2 missing", "5 unexpected", "1 mismatched (scale)"}},
    {"Shape",
     save_block,
     [] { return block_with([](Block& b) {
            b->scale.resize_({3, 1});
          }); },
     {},
     Code::Invalid,
     {"1 mismatched (scale)"}},
    {"LossyDType", save_wide_block, block, {}, Code::Invalid, {"rounded by the model's dtype (conv.weight"}},
    {"LossyDTypeIsNotExact",
     save_wide_block,
     block,
     {.repair = Repair::Exact, .accept = {}, .open = {}},
     Code::Invalid,
     {"rounded"}},
    {"NothingExactHelps",
     save_block,
     [] { return nn::Linear(2, 2).ptr(); },
     {.repair = Repair::Exact, .accept = {}, .open = {}},
     Code::Invalid,
     {"missing"}},
    {"TornTie", save_untied, tied, {}, Code::Invalid, {"tied names (a = b)"}},
    {"Damaged", save_damaged_block, block, {}, Code::Corrupt, {"digest differs"}},
    {"DamagedWithRepair",
     save_damaged_block,
     block,
     {.repair = Repair::Exact, .accept = {.lossy = true, .guess = true}, .open = {}},
     Code::Corrupt,
     {"digest differs"}},
    {"Cut", save_cut_block, block, {}, Code::Corrupt, {}},
    {"NotThere", [](const std::string&) {}, block, {}, Code::NotFound, {}},
    {"NotACheckpoint",
     [](const std::string& path) { test::put(path, "<!DOCTYPE html><html></html>\n"); },
     block,
     {},
     Code::Corrupt,
     {}},
    {"MetaModule",
     save_block,
     [] {
       return block_with([](Block& b) {
         b->conv->weight = b->conv->register_parameter("own", ::torch::ones({1}));
         b->register_buffer("empty", ::torch::empty({3}, ::torch::TensorOptions().device(::torch::kMeta)));
       });
     },
     {},
     Code::Invalid,
     {"empty (meta"}},
    {"ExpandedModule",
     [](const std::string& path) {
       Loose dense;
       dense.register_buffer("a", ::torch::ones({4, 3}));
       save(dense, path);
     },
     [] {
       auto model = std::make_shared<Loose>();
       model->register_buffer("a", ::torch::zeros({3}).expand({4, 3}));
       return model;
     },
     {},
     Code::Invalid,
     {"a (expanded"}},
};

class Refused : public test::TemporaryFolder, public testing::WithParamInterface<Refusal> {};

TEST_P(Refused, BeforeTheFirstCopy) {
  const Refusal& given = GetParam();
  ASSERT_NO_FATAL_FAILURE(given.make(path("a.pt")));
  const std::shared_ptr<nn::Module> model = given.model();
  const auto before = held_by(*model);
  try {
    load(*model, path("a.pt"), given.options);
    ADD_FAILURE() << "the load went through";
  } catch (const Error& error) {
    EXPECT_EQ(error.code, given.code) << error.what();
    const std::string line = error.what();
    for (const std::string& part : given.told) EXPECT_NE(line.find(part), std::string::npos) << line;
    if (const auto* misfit = dynamic_cast<const LoadError*>(&error)) {
      EXPECT_FALSE(misfit->report.fits.value_or(true));
    }
  }
  EXPECT_EQ(before == held_by(*model), true) << "a refused load changed the module";
}

using Load = test::TemporaryFolder;

/// Two state dicts of wrapped models, side by side in one checkpoint: nothing tells which of them is meant.
void save_two_candidates(const std::string& path, const std::string& single) {
  save_block(single);
  const Snapshot one = snapshot(open(single));
  Snapshot both;
  both.containers.push_back({.path = {}, .type = "dict", .parent = 0, .key = {}});
  for (const std::string name : {"first", "second"}) {
    const auto container = static_cast<std::uint32_t>(both.containers.size());
    both.containers.push_back(
        {.path = name, .type = "dict", .parent = 0, .key = name, .tensor_count = one.tensors.size()});
    for (SnapshotTensor tensor : one.tensors) {
      tensor.name = name + ".module." + tensor.name;
      tensor.container = container;
      tensor.key_begin = static_cast<std::uint32_t>(name.size() + 1);
      tensor.storage.reset();
      both.tensors.push_back(std::move(tensor));
    }
  }
  SaveOptions zip;
  zip.format = Format::PytorchZip;
  tenon::save(both, path, zip);
}

TEST_F(Load, AGuessWaitsForAPerson) {
  save_two_candidates(path("a.pt"), path("one.pt"));
  Block model;
  const auto before = held_by(*model);
  LoadOptions options;
  options.repair = Repair::Exact;
  try {
    load(*model, path("a.pt"), options);
    ADD_FAILURE() << "one of two equal candidates was taken unasked";
  } catch (const LoadError& error) {
    EXPECT_NE(error.next.find("accept"), std::string::npos) << error.next;
    EXPECT_EQ(error.report.plan.ops.size(), 2U);
  }
  EXPECT_TRUE(before == held_by(*model));
  options.accept.guess = true;
  EXPECT_EQ(load(*model, path("a.pt"), options).loaded, 8U);
}

TEST_F(Load, WhatWasLostIsMeasuredAndReported) {
  Block wide, narrow;
  wide->to(::torch::kFloat64);
  {
    ::torch::NoGradGuard no_grad;
    for (auto& parameter : wide->parameters()) parameter.fill_(0.5);
    wide->conv->bias.fill_(0.1);
  }
  save(*wide, path("a.pt"));
  LoadOptions lossy;
  lossy.accept.lossy = true;
  const LoadReport report = load(*narrow, path("a.pt"), lossy);
  EXPECT_EQ(report.loaded, 8U);
  ASSERT_EQ(report.dtype_changes.size(), 8U);  // Module::to casts integers, too
  for (const DTypeChange& change : report.dtype_changes) {
    ASSERT_TRUE(change.loss.has_value()) << change.key;
    EXPECT_EQ(change.loss->changed, change.key == "conv.bias" ? 3U : 0U) << change.key;
  }
  EXPECT_TRUE(narrow->conv->bias.equal(::torch::full({3}, 0.1F)));
}

std::shared_ptr<Loose> holding(const ::torch::Tensor& a, const ::torch::Tensor& b) {
  auto model = std::make_shared<Loose>();
  model->register_buffer("a", a);
  model->register_buffer("b", b);
  return model;
}

struct LoadedBytes : test::TemporaryFolder, testing::WithParamInterface<Checking> {
  static LoadOptions options() {
    LoadOptions options;
    options.checking = GetParam();
    return options;
  }
};

TEST_P(LoadedBytes, TensorsOfSeveralPiecesArriveWhole) {
  const ::torch::Tensor large = ::torch::randn({600, 1024}), small = ::torch::randn({3});
  for (const std::string name : {"f.safetensors", "f.pt"})
    for (const bool digests : {true, false}) {
      SaveOptions saving;
      saving.existing = Existing::Replace;
      saving.digests = digests ? Digests::Write : Digests::None;
      save(*holding(large, small), path(name), saving);
      const auto model = holding(::torch::zeros({600, 1024}), ::torch::zeros({3}));
      EXPECT_EQ(load(*model, path(name), options()).loaded, 2U);
      EXPECT_TRUE(model->named_buffers()["a"].equal(large)) << name;
      EXPECT_TRUE(model->named_buffers()["b"].equal(small)) << name;
    }
}

TEST_P(LoadedBytes, AreConvertedAndStridedWhereTheModelIs) {
  const ::torch::Tensor a = ::torch::randn({6, 4}), b = ::torch::ones({3}, ::torch::kInt);
  save(*holding(a, b), path("f.safetensors"));
  const auto model = holding(::torch::zeros({4, 6}).t(), ::torch::zeros({3}, ::torch::kLong));
  EXPECT_EQ(load(*model, path("f.safetensors"), options()).loaded, 2U);
  EXPECT_TRUE(model->named_buffers()["a"].equal(a));
  EXPECT_TRUE(model->named_buffers()["b"].equal(b.to(::torch::kLong)));
}

TEST_P(LoadedBytes, OfViewsIntoEachOtherTheLastOneWins) {
  save(*holding(::torch::tensor({1.F, 2.F, 3.F, 4.F}), ::torch::tensor({7.F, 8.F})), path("f.safetensors"));
  const ::torch::Tensor whole = ::torch::zeros({4}, ::torch::kFloat);
  load(*holding(whole, whole.slice(0, 1, 3)), path("f.safetensors"), options());
  EXPECT_TRUE(whole.equal(::torch::tensor({1.F, 7.F, 8.F, 4.F}))) << whole;
}

TEST_P(LoadedBytes, ABackwardPassOverOlderValuesNotices) {
  save(*holding(::torch::ones({2}), ::torch::ones({2})), path("f.safetensors"));
  const ::torch::Tensor weight = ::torch::zeros({2}, ::torch::requires_grad());
  const ::torch::Tensor loss = (weight * weight).sum();
  load(*holding(weight, ::torch::zeros({2})), path("f.safetensors"), options());
  EXPECT_THROW(loss.backward(), c10::Error);
}

INSTANTIATE_TEST_SUITE_P(Load, LoadedBytes, testing::Values(Checking::First, Checking::WhileReading),
                         [](const auto& row) {
                           return row.param == Checking::First ? "CheckedFirst" : "CheckedOnTheWay";
                         });

/// One bit of the last value, found on the way: the tensor is named, and that the module is not what it was.
TEST_F(Load, DamageFoundOnTheWaySaysThatTheModuleIsLoadedInPart) {
  LoadOptions on_the_way;
  on_the_way.checking = Checking::WhileReading;
  for (const bool digests : {true, false}) {
    const ::torch::Tensor a = ::torch::randn({300, 1024}), b = ::torch::randn({3});
    SaveOptions saving;
    saving.existing = Existing::Replace;
    saving.digests = digests ? Digests::Write : Digests::None;
    save(*holding(a, b), path("f.pt"), saving);
    std::string bytes = test::get(path("f.pt"));
    const std::string values = tenon_test::value_bytes(a);
    const std::size_t at = bytes.find(values);
    ASSERT_NE(at, std::string::npos);
    bytes[at + values.size() - 1] = static_cast<char>(bytes[at + values.size() - 1] ^ 1);
    test::put(path("f.pt"), bytes);
    try {
      load(*holding(::torch::zeros({300, 1024}), ::torch::zeros({3})), path("f.pt"), on_the_way);
      ADD_FAILURE() << "the damage went through";
    } catch (const Error& error) {
      EXPECT_EQ(error.code, Code::Corrupt);
      EXPECT_EQ(error.where.key, "a");
      EXPECT_NE(error.what_happened.find(digests ? "digest differs" : "checksum"), std::string::npos) << error.what();
      EXPECT_NE(error.what_happened.find("loaded in part"), std::string::npos) << error.what();
    }
  }
}

TEST(Door, WhatLibTorchThrowsBecomesAnError) {
  const std::vector<std::pair<std::function<void()>, std::string>> refused = {
      {[] { ::torch::ones({2}).view({3}); }, "[3]"},  // std::runtime_error in LibTorch 1.13
      {[] {
         ::torch::ones({2, 3}).mm(::torch::ones({2, 3}));
       },
       "multiplied"},  // c10::Error
  };
  for (const auto& [call, told] : refused) {
    try {
      torch_bridge::at_the_door("a.pt", call);
      ADD_FAILURE() << "LibTorch took it";
    } catch (const Error& error) {
      EXPECT_EQ(error.code, Code::Invalid);
      EXPECT_EQ(error.where.file, "a.pt");
      EXPECT_NE(error.found.find(told), std::string::npos) << error.found;
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Load, Refused, testing::ValuesIn(kRefusals),
                         [](const auto& row) { return std::string(row.param.name); });

}  // namespace
}  // namespace tenon::torch
