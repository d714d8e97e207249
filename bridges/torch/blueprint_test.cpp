// Blueprints of live modules: silent changes are seen, equal models are not accused, and a run leaves no trace.
#include <gtest/gtest.h>

#include <chrono>
#include <functional>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include <tenon/torch_blueprint.hpp>

#include "support/folder.hpp"
#include "support/live_modules.hpp"

namespace tenon_test {
namespace {

namespace nn = torch::nn;

/// One model with a knob for each silent change; names and shapes of its tensors never depend on them.
struct Knobs {
  int stride = 1, padding = 1, dilation = 1, pool_stride = 2;
  bool tanh = false, average = false, swap = false, relu = true, tied = true;
  double dropout = 0.5, eps = 1e-5, momentum = 0.1, factor = 1.0;
};

struct NetImpl : nn::Module {
  Knobs knobs;
  nn::Conv2d conv{nullptr};
  nn::BatchNorm2d norm{nullptr};
  nn::Dropout drop{nullptr};
  nn::Linear first{nullptr}, second{nullptr};
  torch::Tensor head;

  explicit NetImpl(const Knobs& k = {}) : knobs(k) {
    conv = register_module(
        "conv", nn::Conv2d(nn::Conv2dOptions(1, 4, 3).stride(k.stride).padding(k.padding).dilation(k.dilation)));
    norm = register_module("norm", nn::BatchNorm2d(nn::BatchNorm2dOptions(4).eps(k.eps).momentum(k.momentum)));
    if (k.tanh)
      register_module("act", nn::Tanh());
    else
      register_module("act", nn::LeakyReLU());
    if (k.average)
      register_module("pool", nn::AvgPool2d(nn::AvgPool2dOptions(2).stride(k.pool_stride)));
    else
      register_module("pool", nn::MaxPool2d(nn::MaxPool2dOptions(2).stride(k.pool_stride)));
    drop = register_module("drop", nn::Dropout(k.dropout));
    first = register_module("first", nn::Linear(4, 4));
    second = register_module("second", nn::Linear(4, 4));
    head = register_parameter("head", k.tied ? second->weight : second->weight.detach().clone());
  }

  torch::Tensor forward(torch::Tensor x) {
    x = norm(conv(x));
    x = knobs.tanh ? torch::tanh(x) : torch::leaky_relu(x, 0.01);
    x = knobs.average ? torch::avg_pool2d(x, 2, knobs.pool_stride) : torch::max_pool2d(x, 2, knobs.pool_stride);
    x = drop(x.mean({2, 3})) * knobs.factor;
    x = knobs.swap ? first(second(x)) : second(first(x));
    if (knobs.relu) x = torch::relu(x);
    return torch::linear(x, head);
  }
};
TORCH_MODULE(Net);

Net seeded(const Knobs& knobs = {}) {
  torch::manual_seed(7);
  return Net(knobs);
}

tenon::torch::Example images(std::int64_t batch = 3) { return tenon::torch::example_inputs(1, {{{batch, 1, 8, 8}}}); }

std::vector<std::string> cause_ids(const tenon::Report& report) {
  std::vector<std::string> ids;
  for (const tenon::Cause& cause : report.causes) ids.push_back(cause.id);
  return ids;
}

class TorchBlueprint : public tenon::test::TemporaryFolder {
 protected:
  tenon::Report against_saved(Net& changed, const tenon::torch::Example& input) const {
    Net saved = seeded();
    tenon::torch::save(*saved, path("a.safetensors"), tenon::torch::blueprint(saved, images()),
                       {.existing = tenon::Existing::Replace});
    return tenon::torch::check(*changed, tenon::torch::blueprint(changed, input), path("a.safetensors"));
  }
};

struct Change {
  const char* name;
  std::function<void(Knobs&)> turn;
};

const Change kChanges[] = {
    {"stride", [](Knobs& k) { k.stride = 2; }},
    {"padding", [](Knobs& k) { k.padding = 0; }},
    {"dilation", [](Knobs& k) { k.dilation = 2; }},
    {"pool stride", [](Knobs& k) { k.pool_stride = 1; }},
    {"activation", [](Knobs& k) { k.tanh = true; }},
    {"pooling kind", [](Knobs& k) { k.average = true; }},
    {"dropout p", [](Knobs& k) { k.dropout = 0.1; }},
    {"eps", [](Knobs& k) { k.eps = 1e-3; }},
    {"momentum", [](Knobs& k) { k.momentum = 0.2; }},
    {"order of two equal layers", [](Knobs& k) { k.swap = true; }},
    {"functional relu left out", [](Knobs& k) { k.relu = false; }},
    {"weight tying lost", [](Knobs& k) { k.tied = false; }},
    {"factor in forward", [](Knobs& k) { k.factor = 0.5; }},
};

TEST_F(TorchBlueprint, EverySilentChangeIsSeen) {
  for (const Change& change : kChanges) {
    SCOPED_TRACE(change.name);
    Knobs knobs;
    change.turn(knobs);
    Net changed = seeded(knobs);
    const tenon::Report report = against_saved(changed, images());
    EXPECT_EQ(report.fits, false);
    EXPECT_FALSE(report.causes.empty());
    EXPECT_FALSE(report.architecture.empty());
  }
}

struct Layers {
  const char* name;
  std::function<nn::Sequential()> saved, changed;
  torch::Tensor input;
};

torch::Tensor numbers(const std::vector<std::int64_t>& shape) {
  return tenon::torch::example_inputs(1, {{shape}}).inputs[0];
}

const Layers kLayers[] = {
    {"padding mode", [] { return nn::Sequential(nn::Conv2d(nn::Conv2dOptions(2, 2, 3).padding(1))); },
     [] { return nn::Sequential(nn::Conv2d(nn::Conv2dOptions(2, 2, 3).padding(1).padding_mode(torch::kReflect))); },
     numbers({2, 2, 6, 6})},
    {"output padding",
     [] { return nn::Sequential(nn::ConvTranspose2d(nn::ConvTranspose2dOptions(2, 2, 3).stride(2))); },
     [] {
       return nn::Sequential(nn::ConvTranspose2d(nn::ConvTranspose2dOptions(2, 2, 3).stride(2).output_padding(1)));
     },
     numbers({2, 2, 4, 4})},
    {"padding of a transposed convolution",
     [] { return nn::Sequential(nn::ConvTranspose1d(nn::ConvTranspose1dOptions(2, 2, 3))); },
     [] { return nn::Sequential(nn::ConvTranspose1d(nn::ConvTranspose1dOptions(2, 2, 3).padding(1))); },
     numbers({2, 2, 6})},
    {"groups", [] { return nn::Sequential(nn::GroupNorm(2, 4)); }, [] { return nn::Sequential(nn::GroupNorm(4, 4)); },
     numbers({2, 4, 3})},
    {"approximate", [] { return nn::Sequential(nn::GELU()); },
     [] { return nn::Sequential(nn::GELU(nn::GELUOptions().approximate("tanh"))); }, numbers({2, 4})},
    {"align corners",
     [] {
       return nn::Sequential(nn::Upsample(
           nn::UpsampleOptions().scale_factor(std::vector<double>{2, 2}).mode(torch::kBilinear).align_corners(false)));
     },
     [] {
       return nn::Sequential(nn::Upsample(
           nn::UpsampleOptions().scale_factor(std::vector<double>{2, 2}).mode(torch::kBilinear).align_corners(true)));
     },
     numbers({2, 2, 4, 4})},
    {"limits", [] { return nn::Sequential(nn::Hardtanh(nn::HardtanhOptions().max_val(1))); },
     [] { return nn::Sequential(nn::Hardtanh(nn::HardtanhOptions().max_val(0.5))); }, numbers({2, 4})},
    {"axis of the softmax", [] { return nn::Sequential(nn::Softmax(0)); },
     [] { return nn::Sequential(nn::Softmax(1)); }, numbers({2, 4})},
    {"output size", [] { return nn::Sequential(nn::AdaptiveAvgPool1d(2)); },
     [] { return nn::Sequential(nn::AdaptiveAvgPool1d(3)); }, numbers({2, 2, 6})},
    {"upscaling", [] { return nn::Sequential(nn::PixelShuffle(2)); },
     [] { return nn::Sequential(nn::PixelShuffle(1)); }, numbers({2, 4, 3, 3})},
};

TEST_F(TorchBlueprint, OptionsOfLayersAreSeenWithARunAndWithout) {
  for (const Layers& row : kLayers) {
    SCOPED_TRACE(row.name);
    torch::manual_seed(7);
    nn::Sequential saved = row.saved();
    torch::manual_seed(7);
    nn::Sequential changed = row.changed(), same = row.saved();
    for (const bool runs : {true, false}) {
      const auto blueprint_of = [&](nn::Sequential& model) {
        const auto forward = [&model](const std::vector<torch::Tensor>& in) {
          return std::vector<torch::Tensor>{model->forward(in[0])};
        };
        return runs ? tenon::torch::blueprint(*model, forward, {{row.input}}) : tenon::torch::blueprint(*model);
      };
      const auto differences = tenon::architecture_changes(blueprint_of(saved), blueprint_of(changed));
      ASSERT_FALSE(differences.empty());
      EXPECT_EQ(differences[0].module, "0");
      EXPECT_TRUE(tenon::architecture_changes(blueprint_of(saved), blueprint_of(same)).empty());
    }
  }
}

/// What `forward` does with two equal layers.
struct HandImpl : nn::Module {
  using Function = std::function<std::vector<torch::Tensor>(HandImpl&, const torch::Tensor&)>;
  nn::Linear one{nullptr}, two{nullptr};
  Function function;
  explicit HandImpl(Function f) : function(std::move(f)) {
    one = register_module("one", nn::Linear(4, 4));
    two = register_module("two", nn::Linear(4, 4));
  }
  std::vector<torch::Tensor> forward(const torch::Tensor& x) { return function(*this, x); }
};
TORCH_MODULE(Hand);

struct Forwards {
  const char* name;
  HandImpl::Function saved, changed;
};

using Outputs = std::vector<torch::Tensor>;

const Forwards kForwards[] = {
    {"outputs exchanged",
     [](HandImpl& m, const torch::Tensor& x) {
       return Outputs{m.one(x), x.relu()};
     },
     [](HandImpl& m, const torch::Tensor& x) {
       auto a = m.one(x), b = x.relu();
       return Outputs{b, a};
     }},
    {"results of one operation exchanged",
     [](HandImpl& m, const torch::Tensor& x) {
       const auto halves = m.one(x).chunk(2, 1);
       return Outputs{halves[0] * halves[1].sigmoid()};
     },
     [](HandImpl& m, const torch::Tensor& x) {
       const auto halves = m.one(x).chunk(2, 1);
       return Outputs{halves[1] * halves[0].sigmoid()};
     }},
    {"residual left out", [](HandImpl& m, const torch::Tensor& x) { return Outputs{m.one(x) + x}; },
     [](HandImpl& m, const torch::Tensor& x) { return Outputs{m.one(x)}; }},
    {"factor", [](HandImpl& m, const torch::Tensor& x) { return Outputs{m.one(x) * 0.5}; },
     [](HandImpl& m, const torch::Tensor& x) { return Outputs{m.one(x) * 0.25}; }},
    {"order of a concatenation",
     [](HandImpl& m, const torch::Tensor& x) {
       auto a = m.one(x), b = m.two(x);
       return Outputs{torch::cat({a, b}, 1)};
     },
     [](HandImpl& m, const torch::Tensor& x) {
       auto a = m.one(x), b = m.two(x);
       return Outputs{torch::cat({b, a}, 1)};
     }},
    {"mean became max", [](HandImpl& m, const torch::Tensor& x) { return Outputs{m.one(x).mean(1)}; },
     [](HandImpl& m, const torch::Tensor& x) { return Outputs{m.one(x).amax(1)}; }},
    {"layer called twice", [](HandImpl& m, const torch::Tensor& x) { return Outputs{m.one(x)}; },
     [](HandImpl& m, const torch::Tensor& x) { return Outputs{m.one(m.one(x))}; }},
};

TEST_F(TorchBlueprint, WhatForwardDoesIsSeenWhateverTheInput) {
  for (const Forwards& row : kForwards) {
    SCOPED_TRACE(row.name);
    const auto differences = [](const HandImpl::Function& a, const HandImpl::Function& b) {
      return tenon::architecture_changes(tenon::torch::blueprint(Hand(a), {{numbers({2, 4})}}),
                                         tenon::torch::blueprint(Hand(b), {{numbers({5, 4}) * 0.5}}));
    };
    EXPECT_FALSE(differences(row.saved, row.changed).empty());
    EXPECT_TRUE(differences(row.saved, row.saved).empty());
  }
}

TEST_F(TorchBlueprint, InputsAndBoundedTablesKeepTheirValues) {
  nn::Sequential model(nn::ReLU(nn::ReLUOptions().inplace(true)));
  const auto forward = [](auto module) {
    return [module](const std::vector<torch::Tensor>& in) mutable { return Outputs{module->forward(in[0])}; };
  };
  const torch::Tensor given = numbers({3, 4}), before = given.clone();
  static_cast<void>(tenon::torch::blueprint(*model, forward(model), {{given}}));
  EXPECT_TRUE(torch::equal(given, before));
  nn::Embedding table(nn::EmbeddingOptions(5, 4).max_norm(0.1));
  const torch::Tensor rows = table->weight.detach().clone();
  static_cast<void>(tenon::torch::blueprint(*table, forward(table), {{torch::arange(5)}}));
  EXPECT_TRUE(torch::equal(table->weight, rows));
}

TEST_F(TorchBlueprint, LoadRefusesAnotherModelsOptions) {
  Net saved = seeded();
  tenon::torch::save(*saved, path("a.safetensors"));
  Knobs knobs;
  knobs.padding = 0;
  Net changed = seeded(knobs);
  const auto before = held_by(*changed);
  EXPECT_THROW(tenon::torch::load(*changed, path("a.safetensors")), tenon::torch::LoadError);
  EXPECT_EQ(held_by(*changed), before);
  const auto report = tenon::torch::load(*changed, path("a.safetensors"), {.function = tenon::torch::Function::Ignore});
  ASSERT_EQ(report.architecture.size(), 1U);
  EXPECT_EQ(report.architecture[0].module, "conv");
}

TEST_F(TorchBlueprint, EqualModelsRaiseNoAlarm) {
  const auto quiet = [this](Net model, const tenon::torch::Example& input) {
    const tenon::Report report = against_saved(model, input);
    EXPECT_EQ(report.fits, true);
    EXPECT_EQ(cause_ids(report), std::vector<std::string>{});
    EXPECT_TRUE(report.architecture.empty());
  };
  quiet(seeded(), images());
  quiet(seeded(), images(9));  // another batch
  Net trained = seeded();
  trained->train();
  trained->eval();
  quiet(trained, images());
  Net there_and_back = seeded();
  there_and_back->to(torch::kFloat64);
  there_and_back->to(torch::kFloat32);
  there_and_back->norm->num_batches_tracked.set_data(torch::zeros({}, torch::kInt64));  // to() takes integers along
  quiet(there_and_back, images());
  Net frozen = seeded();
  for (auto& parameter : frozen->parameters()) parameter.set_requires_grad(false);
  quiet(frozen, images());
  const int threads = torch::get_num_threads();
  torch::set_num_threads(2);
  quiet(seeded(), images());
  torch::set_num_threads(threads);
}

TEST_F(TorchBlueprint, ARunLeavesNoTrace) {
  Net model = seeded();
  model->train();
  model->norm->eval();
  const auto before = held_by(*model);
  const torch::Tensor random = at::detail::getDefaultCPUGenerator().get_state().clone();
  static_cast<void>(tenon::torch::blueprint(model, images()));
  EXPECT_EQ(held_by(*model), before);
  EXPECT_TRUE(model->is_training());
  EXPECT_FALSE(model->norm->is_training());
  EXPECT_TRUE(torch::equal(random, at::detail::getDefaultCPUGenerator().get_state()));
  const tenon::torch::Example wrong{{torch::ones({1, 9, 8, 8})}};
  EXPECT_THROW(static_cast<void>(tenon::torch::blueprint(model, wrong)), tenon::Error);
  EXPECT_TRUE(model->is_training());
  EXPECT_TRUE(torch::GradMode::is_enabled());
}

TEST_F(TorchBlueprint, GraphNamesWeightsAndFunctions) {
  Net model = seeded();
  const tenon::Blueprint blueprint = tenon::torch::blueprint(model, images());
  ASSERT_TRUE(blueprint.graph.has_value());
  std::vector<std::string> ops;
  for (const tenon::GraphNode& node : blueprint.graph->nodes) {
    ops.push_back(node.op);
    for (const tenon::Operand& operand : node.operands) {
      if (operand.from == tenon::Operand::From::Node) {
        EXPECT_LT(operand.index, ops.size() - 1);
      }
    }
  }
  // with a bias and rows of numbers LibTorch 1.13 multiplies at once; later ones call linear
  const bool is_old = TORCH_VERSION_MAJOR < 2;
  std::vector<std::string> expected = {"conv2d", "batch_norm", "leaky_relu", "max_pool2d", "mean", "dropout", "mul"};
  for (int layer = 0; layer < 2; ++layer)
    for (const char* op : is_old ? std::vector<const char*>{"t", "addmm"} : std::vector<const char*>{"linear"})
      expected.emplace_back(op);
  expected.insert(expected.end(), {"relu", "linear", "output"});
  EXPECT_EQ(ops, expected);
  EXPECT_EQ(blueprint.graph->nodes[0].module, "conv");
  EXPECT_EQ(blueprint.graph->batch, 3);
  EXPECT_TRUE(blueprint.unsaved.empty());
  EXPECT_TRUE(blueprint.probe->findings.empty());
}

TEST_F(TorchBlueprint, LoadAndProbeTakesEverythingBack) {
  Net saved = seeded();
  tenon::torch::save(*saved, path("a.pt"), tenon::torch::blueprint(saved, images()));
  torch::manual_seed(8);
  Net same;
  const auto result = tenon::torch::load_and_probe(same, path("a.pt"));
  ASSERT_TRUE(result.probe.has_value()) << result.why_not;
  EXPECT_EQ(result.probe->verdict, tenon::ProbeVerdict::Equal);

  Knobs knobs;
  knobs.relu = false;
  Net changed(knobs);
  const auto before = held_by(*changed);
  try {
    tenon::torch::load_and_probe(changed, path("a.pt"));
    FAIL() << "another function was loaded";
  } catch (const tenon::torch::LoadError& error) {
    EXPECT_FALSE(error.report.causes.empty());
  }
  EXPECT_EQ(held_by(*changed), before);
}

struct PlainMemberImpl : nn::Module {
  torch::Tensor scale = torch::rand({4});  // was a buffer once
  nn::Linear fc{nullptr};
  PlainMemberImpl() { fc = register_module("fc", nn::Linear(4, 4)); }
  torch::Tensor forward(const torch::Tensor& x) { return fc(x) * scale; }
};
TORCH_MODULE(PlainMember);

struct OneWayImpl : nn::Module {
  nn::Linear fc{nullptr};
  OneWayImpl() { fc = register_module("fc", nn::Linear(4, 4)); }
  torch::Tensor forward(const torch::Tensor& x) { return fc(x); }
  void load(torch::serialize::InputArchive&) override {}  // forgets what save() wrote
};
TORCH_MODULE(OneWay);

struct CountedImpl : nn::Module {
  nn::Linear fc{nullptr};
  CountedImpl() {
    static int made = 0;
    fc = register_module("fc" + std::to_string(made++), nn::Linear(4, 4));
  }
  torch::Tensor forward(const torch::Tensor& x) { return fc(x); }
};
TORCH_MODULE(Counted);

template <class Model>
std::string problems_of() {
  try {
    tenon::torch::expect_round_trip([] { return Model(); }, torch::ones({2, 4}));
    return {};
  } catch (const tenon::Error& error) {
    return error.found;
  }
}

TEST(RoundTrip, NamesWhatIsNotKept) {
  EXPECT_NE(problems_of<PlainMember>().find("tensor that is not registered"), std::string::npos);
  EXPECT_NE(problems_of<OneWay>().find("the module's own save() and load()"), std::string::npos);
  EXPECT_NE(problems_of<Counted>().find("have other names"), std::string::npos);
}

TEST(RoundTrip, AGoodModelHasNoProblems) {
  EXPECT_NO_THROW(tenon::torch::expect_round_trip([] { return seeded(); }, images()));
}

TEST_F(TorchBlueprint, ABufferThatBecameAPlainMemberIsNamed) {
  PlainMember model;
  const tenon::Blueprint blueprint = tenon::torch::blueprint(model, {{torch::ones({2, 4})}});
  ASSERT_EQ(blueprint.unsaved.size(), 1U);
  EXPECT_EQ(blueprint.unsaved[0].why, "tensor that is not registered");
}

TEST_F(TorchBlueprint, OtherNumbersOfRowsAreFlagged) {
  nn::Sequential model(nn::Flatten(nn::FlattenOptions().start_dim(0).end_dim(1)));
  const tenon::Blueprint blueprint = tenon::torch::blueprint(model, {{torch::ones({2, 4, 3})}});
  ASSERT_EQ(blueprint.probe->findings.size(), 1U);
  EXPECT_EQ(blueprint.probe->findings[0], "2 rows in, 8 rows out (output 0)");
}

struct SlowImpl : nn::Module {
  nn::Linear fc{nullptr};
  SlowImpl() { fc = register_module("fc", nn::Linear(4, 4)); }
  torch::Tensor forward(const torch::Tensor& x) {
    const torch::Tensor result = fc(x);
    std::this_thread::sleep_for(std::chrono::milliseconds(150));
    return torch::relu(result);
  }
};
TORCH_MODULE(Slow);

/// Over a limit: what it kept out is missing and named, the rest is as ever.
TEST_F(TorchBlueprint, LimitsLeaveOutAndSayWhat) {
  const tenon::torch::Example rows{{torch::ones({2, 4})}};
  const auto late = tenon::torch::blueprint(Slow(), rows, {.limits = {.seconds = 0.05}});
  EXPECT_FALSE(late.probe.has_value());
  EXPECT_FALSE(late.graph.has_value());
  ASSERT_EQ(late.left_out.size(), 1U);
  EXPECT_EQ(late.left_out[0].find("operations and probe: the run took 0."), 0U) << late.left_out[0];
  EXPECT_EQ(late.tensors.size(), 2U);

  const auto large = tenon::torch::blueprint(nn::Linear(4, 4), rows, {.limits = {.bytes = 31}});
  EXPECT_FALSE(large.probe.has_value());
  EXPECT_EQ(large.left_out,
            (std::vector<std::string>{"operations and probe: the inputs have 32 bytes, the limit is 31"}));

  const auto wide = tenon::torch::blueprint(nn::Linear(4, 4), rows, {.limits = {.bytes = 63}});
  EXPECT_FALSE(wide.probe.has_value());
  EXPECT_TRUE(wide.graph.has_value());
  EXPECT_EQ(wide.left_out, (std::vector<std::string>{"probe: inputs and outputs have 64 bytes, the limit is 63"}));

  const auto cut = tenon::torch::blueprint(seeded(), images(), {.limits = {.operations = 2}});
  EXPECT_TRUE(cut.probe.has_value());
  EXPECT_EQ(cut.graph->nodes.size(), 3U);  // the last says what the run returns
  EXPECT_EQ(cut.left_out, (std::vector<std::string>{"operations: only the first 2 are written down"}));
  EXPECT_EQ(tenon::parse_blueprint(tenon::to_json(cut), "here").left_out, cut.left_out);
}

/// Writes into its buffers, changes modes and draws from the generator; then it throws, or not.
struct UnrulyImpl : nn::Module {
  nn::BatchNorm1d norm{nullptr};
  nn::Dropout drop{nullptr};
  torch::Tensor seen;
  bool throws = false;

  UnrulyImpl() {
    norm = register_module("norm", nn::BatchNorm1d(4));
    drop = register_module("drop", nn::Dropout(0.5));
    seen = register_buffer("seen", torch::zeros({2}));
    norm->eval();
  }
  torch::Tensor forward(const torch::Tensor& x) {
    seen.resize_({3}).fill_(1);
    norm->train();
    drop->train();
    const torch::Tensor result = drop(norm(x));
    if (throws) throw std::runtime_error("on purpose");
    return result;
  }
};
TORCH_MODULE(Unruly);

/// Without addresses: a buffer that was given another size has other memory, with what it held.
std::vector<Held> values_in(const nn::Module& module) {
  std::vector<Held> all = held_by(module);
  for (Held& one : all) one.memory = nullptr;
  return all;
}

TEST_F(TorchBlueprint, AnUnrulyForwardLeavesNoTrace) {
  for (const bool throws : {false, true}) {
    Unruly model;
    model->throws = throws;
    const auto before = values_in(*model);
    const tenon::torch::Example rows{{torch::rand({5, 4})}};
    const torch::Tensor drawn = at::detail::getDefaultCPUGenerator().get_state().clone();
    if (throws)
      EXPECT_ANY_THROW(tenon::torch::blueprint(model, rows));
    else
      EXPECT_NO_THROW(tenon::torch::blueprint(model, rows));
    EXPECT_EQ(values_in(*model), before);
    EXPECT_TRUE(model->is_training());
    EXPECT_FALSE(model->norm->is_training());
    EXPECT_TRUE(model->drop->is_training());
    EXPECT_TRUE(torch::equal(drawn, at::detail::getDefaultCPUGenerator().get_state()));
    EXPECT_TRUE(torch::GradMode::is_enabled());
  }
}

TEST_F(TorchBlueprint, StridesAreWrittenDown) {
  nn::Conv2d conv(nn::Conv2dOptions(3, 4, 3));
  {
    const torch::NoGradGuard no_grad;
    conv->weight.set_data(conv->weight.contiguous(at::MemoryFormat::ChannelsLast));
  }
  const tenon::Blueprint blueprint = tenon::torch::blueprint(*conv);
  EXPECT_EQ(blueprint.tensors[0].stride, (tenon::Stride{27, 1, 9, 3}));
  EXPECT_FALSE(blueprint.tensors[1].stride.has_value());
}

TEST_F(TorchBlueprint, OptimizerGroupsAndStraysAreNamed) {
  nn::Linear model(2, 2), stray(2, 2);
  auto parameters = model->parameters();
  parameters.push_back(stray->weight);
  const torch::optim::SGD optimizer(parameters, 0.25);
  const tenon::Blueprint blueprint = tenon::torch::blueprint(*model, {.optimizer = &optimizer});
  ASSERT_EQ(blueprint.optimizer.size(), 1U);
  EXPECT_EQ(blueprint.optimizer[0].parameters[1], "bias");
  ASSERT_EQ(blueprint.unsaved.size(), 1U);
  EXPECT_EQ(blueprint.unsaved[0].why, "parameter of the optimizer");
}

}  // namespace
}  // namespace tenon_test
