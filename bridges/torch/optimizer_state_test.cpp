// Optimizer state goes home by the parameter's name: other orders, other groups, and nothing changes when it does not
// fit.
#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include <tenon/torch.hpp>

#include "support/folder.hpp"
#include "support/live_modules.hpp"

namespace tenon::torch {
namespace {

namespace optim = ::torch::optim;
using tenon_test::Block;
using tenon_test::same_values;

using Parameters = std::vector<::torch::Tensor>;
using Make = std::function<std::unique_ptr<optim::Optimizer>(Parameters)>;

template <class Optimizer, class Options>
Make maker(Options options) {
  return [options](Parameters parameters) { return std::make_unique<Optimizer>(std::move(parameters), options); };
}

void step(Block& net, optim::Optimizer& optimizer, std::uint64_t seed) {
  ::torch::manual_seed(seed);
  optimizer.zero_grad();
  net->forward(::torch::randn({4, 2, 5, 5})).pow(2).mean().backward();
  optimizer.step();
}

Parameters reversed(Parameters parameters) {
  std::reverse(parameters.begin(), parameters.end());
  return parameters;
}

struct Trained {
  const char* name;
  Make make;        ///< as it was trained
  Make make_again;  ///< as the program makes it anew: same kind, other learning rate
  const char* suffix;
};

const Trained kTrained[] = {
    {"SgdWithMomentum", maker<optim::SGD>(optim::SGDOptions(0.1).momentum(0.9).nesterov(true)),
     maker<optim::SGD>(optim::SGDOptions(7).momentum(0.5)), "pt"},
    {"PlainSgd", maker<optim::SGD>(optim::SGDOptions(0.1).weight_decay(0.01)), maker<optim::SGD>(optim::SGDOptions(7)),
     "safetensors"},
    {"Adam", maker<optim::Adam>(optim::AdamOptions(1e-2)), maker<optim::Adam>(optim::AdamOptions(7)), "safetensors"},
    {"AdamAmsgrad", maker<optim::Adam>(optim::AdamOptions(1e-2).amsgrad(true)),
     maker<optim::Adam>(optim::AdamOptions(7).amsgrad(true)), "pt"},
    {"AdamW", maker<optim::AdamW>(optim::AdamWOptions(1e-2).betas({0.8, 0.99}).weight_decay(0.1)),
     maker<optim::AdamW>(optim::AdamWOptions(7)), "pt"},
};

class Resumed : public test::TemporaryFolder, public testing::WithParamInterface<Trained> {};

TEST_P(Resumed, InAnotherOrderOneMoreStepIsTheSame) {
  const Trained& given = GetParam();
  const std::string file = path(std::string("a.") + given.suffix);
  Block first, second;
  const auto trained = given.make(first->parameters());
  for (std::uint64_t seed = 1; seed <= 3; ++seed) step(first, *trained, seed);
  save(*first, *trained, file);

  const auto resumed = given.make_again(reversed(second->parameters()));
  EXPECT_EQ(load(*second, file).loaded, 8U);
  ASSERT_TRUE(same_values(*first, *second));
  const LoadReport report = load_optimizer(*second, *resumed, file);
  EXPECT_GE(report.loaded, 8U);  // at least one state and one row of options for each of four parameters
  EXPECT_TRUE(report.dtype_changes.empty());
  for (std::uint64_t seed = 4; seed <= 6; ++seed) {
    step(first, *trained, seed);
    step(second, *resumed, seed);
    EXPECT_TRUE(same_values(*first, *second)) << "after step " << seed;
  }
}

TEST_P(Resumed, FromAFileOfItsOwnToo) {
  const Trained& given = GetParam();
  const std::string file = path(std::string("state.") + given.suffix);
  Block net;
  const auto trained = given.make(net->parameters());
  step(net, *trained, 1);
  save_optimizer(*net, *trained, file);

  const auto resumed = given.make_again(net->parameters());
  load_optimizer(*net, *resumed, file);
  save_optimizer(*net, *resumed, path("again." + std::string(given.suffix)));
  const auto a = open(file), b = open(path("again." + std::string(given.suffix)));
  ASSERT_EQ(a.tensors().size(), b.tensors().size());
  for (const TensorInfo& row : a.tensors()) {
    EXPECT_TRUE(row.name.starts_with("optimizer.state.")) << row.name;
    const Tensor one = a.tensor(row.name), other = b.tensor(row.name);
    std::vector<std::byte> x(byte_size(one.shape, one.dtype)), y(byte_size(other.shape, other.dtype));
    copy_dense(one, x);
    copy_dense(other, y);
    EXPECT_EQ(x, y) << row.name;
  }
}

INSTANTIATE_TEST_SUITE_P(Optimizers, Resumed, testing::ValuesIn(kTrained),
                         [](const auto& row) { return std::string(row.param.name); });

using Optimizers = test::TemporaryFolder;

double rate_of(const optim::Optimizer& optimizer, std::size_t group) {
  return static_cast<const optim::AdamOptions&>(optimizer.param_groups()[group].options()).lr();
}

/// Group 0 has the convolution, group 1 the rest.
std::unique_ptr<optim::Adam> two_groups(Block& net, double conv_rate, double norm_rate) {
  std::vector<optim::OptimizerParamGroup> groups;
  groups.emplace_back(net->conv->parameters(), std::make_unique<optim::AdamOptions>(conv_rate));
  groups.emplace_back(net->norm->parameters(), std::make_unique<optim::AdamOptions>(norm_rate));
  return std::make_unique<optim::Adam>(std::move(groups), optim::AdamOptions());
}

TEST_F(Optimizers, GroupsTakeTheirOptionsByTheNamesOfTheirParameters) {
  Block net;
  const auto trained = two_groups(net, 0.25, 0.5);
  step(net, *trained, 1);
  save_optimizer(*net, *trained, path("a.pt"));

  std::vector<optim::OptimizerParamGroup> groups;  // the same two, the other way round
  groups.emplace_back(net->norm->parameters(), std::make_unique<optim::AdamOptions>(7));
  groups.emplace_back(net->conv->parameters(), std::make_unique<optim::AdamOptions>(7));
  optim::Adam resumed(std::move(groups), optim::AdamOptions());
  load_optimizer(*net, resumed, path("a.pt"));
  EXPECT_EQ(rate_of(resumed, 0), 0.5);
  EXPECT_EQ(rate_of(resumed, 1), 0.25);
}

/// Asserts that load_optimizer throws a LoadError and leaves the optimizer as it was.
LoadError refused(const Block& net, optim::Optimizer& optimizer, const std::string& file) {
  const auto before = optimizer.state().size();
  const double rate = rate_of(optimizer, 0);
  try {
    load_optimizer(*net, optimizer, file);
  } catch (const LoadError& error) {
    EXPECT_EQ(optimizer.state().size(), before);
    EXPECT_EQ(rate_of(optimizer, 0), rate);
    return error;
  }
  ADD_FAILURE() << "the load went through";
  return LoadError(file, {}, {}, {});
}

TEST_F(Optimizers, OneGroupCannotHaveTheOptionsOfTwo) {
  Block net;
  const auto trained = two_groups(net, 0.25, 0.5);
  step(net, *trained, 1);
  save_optimizer(*net, *trained, path("a.pt"));
  optim::Adam one_group(net->parameters(), optim::AdamOptions(7));
  EXPECT_NE(refused(net, one_group, path("a.pt")).found.find("norm.weight"), std::string::npos);
}

TEST_F(Optimizers, MissingAndUnexpectedNamesAreListedTogether) {
  Block net;
  optim::Adam part(net->conv->parameters(), optim::AdamOptions(0.1));
  step(net, part, 1);
  save_optimizer(*net, part, path("a.pt"));
  optim::Adam other(net->norm->parameters(), optim::AdamOptions(7));
  const LoadError error = refused(net, other, path("a.pt"));
  EXPECT_EQ(error.report.difference.missing.size(), 8U);  // step, two averages and options, of two parameters
  EXPECT_EQ(error.report.difference.unexpected.size(), 8U);
  EXPECT_NE(error.found.find("8 missing"), std::string::npos) << error.found;
  EXPECT_NE(error.found.find("8 unexpected"), std::string::npos) << error.found;
}

TEST_F(Optimizers, AnotherKindIsRefused) {
  Block net;
  optim::SGD trained(net->parameters(), optim::SGDOptions(0.1).momentum(0.9));
  step(net, trained, 1);
  save_optimizer(*net, trained, path("a.pt"));
  optim::Adam other(net->parameters(), optim::AdamOptions(7));
  refused(net, other, path("a.pt"));
}

TEST_F(Optimizers, ADamagedFileChangesNothing) {
  Block net;
  optim::Adam trained(net->parameters(), optim::AdamOptions(0.1));
  step(net, trained, 1);
  save_optimizer(*net, trained, path("a.pt"));
  std::string bytes = test::get(path("a.pt"));
  const auto& state = static_cast<const optim::AdamParamState&>(*trained.state().begin()->second);
  const std::size_t at = bytes.find(tenon_test::value_bytes(state.exp_avg_sq()));
  ASSERT_NE(at, std::string::npos);
  bytes[at] = static_cast<char>(bytes[at] ^ 1);
  test::put(path("a.pt"), bytes);
  optim::Adam fresh(net->parameters(), optim::AdamOptions(7));
  try {
    load_optimizer(*net, fresh, path("a.pt"));
    ADD_FAILURE() << "the load went through";
  } catch (const Error& error) {
    EXPECT_EQ(error.code, Code::Corrupt) << error.what();
  }
  EXPECT_TRUE(fresh.state().empty());
  EXPECT_EQ(rate_of(fresh, 0), 7);
}

TEST_F(Optimizers, ParametersThatNeverSteppedComeBackWithoutState) {
  Block net;
  net->conv->bias.set_requires_grad(false);
  optim::Adam trained(net->parameters(), optim::AdamOptions(0.1));
  step(net, trained, 1);
  ASSERT_EQ(trained.state().size(), 3U);
  save_optimizer(*net, trained, path("a.safetensors"));
  optim::Adam resumed(net->parameters(), optim::AdamOptions(7));
  load_optimizer(*net, resumed, path("a.safetensors"));
  EXPECT_EQ(resumed.state().size(), 3U);
}

TEST_F(Optimizers, OthersThanTheThreeAreRefusedByName) {
  Block net;
  optim::RMSprop other(net->parameters(), optim::RMSpropOptions(0.1));
  try {
    save_optimizer(*net, other, path("a.pt"));
    ADD_FAILURE() << "the save went through";
  } catch (const Error& error) {
    EXPECT_EQ(error.code, Code::Unsupported);
  }
  Block stranger;
  optim::SGD foreign(stranger->parameters(), optim::SGDOptions(0.1));
  try {
    save_optimizer(*net, foreign, path("a.pt"));
    ADD_FAILURE() << "the save went through";
  } catch (const Error& error) {
    EXPECT_EQ(error.code, Code::Invalid);
  }
  EXPECT_EQ(entries(), 0U);
}

}  // namespace
}  // namespace tenon::torch
