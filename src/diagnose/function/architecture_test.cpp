// architecture_changes and changes_since: what counts as another function, what does not, and how it is said.
#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <ostream>
#include <string>
#include <vector>

#include <tenon/blueprint.hpp>

#include "support/blueprints.hpp"

namespace tenon {
namespace {

using Texts = std::vector<std::string>;
using Edit = std::function<void(Blueprint&)>;

/// `changed pool: option stride: MaxPool2d(stride=2) -> MaxPool2d(stride=1)`
Texts texts_of(const std::vector<ArchitectureChange>& changes) {
  Texts texts;
  for (const ArchitectureChange& change : changes)
    texts.push_back(std::string(kind_name(change.kind)) + " " + change.module + ": " + change.what + ": " +
                    change.from + " -> " + change.to);
  return texts;
}

ModuleSpec& module(Blueprint& blueprint, const std::string& path) {
  return *std::find_if(blueprint.modules.begin(), blueprint.modules.end(),
                       [&](const ModuleSpec& row) { return row.path == path; });
}

GraphNode node(const std::string& op, const std::string& place, const std::string& args,
               std::vector<Operand> operands) {
  return {op, place, args, std::nullopt, std::move(operands)};
}
Operand of_node(std::uint64_t index) { return {Operand::From::Node, index, {}}; }
Operand of_input() { return {Operand::From::Input, 0, {}}; }
Operand of_tensor(const std::string& name) { return {Operand::From::Tensor, 0, name}; }

/// A blueprint that is a graph alone.
Blueprint running(std::vector<GraphNode> nodes, std::optional<std::int64_t> batch = std::nullopt) {
  Blueprint blueprint;
  blueprint.graph = Graph{"torch_function", batch, std::move(nodes)};
  return blueprint;
}

TEST(ArchitectureChanges, AreNoneOfABlueprintAndItself) {
  EXPECT_EQ(texts_of(architecture_changes(test::small_blueprint(), test::small_blueprint())), Texts{});
}

// ---- options

struct Option {
  const char* name;
  const char* type;
  const char* from;
  const char* to;
  const char* told;
};
void PrintTo(const Option& row, std::ostream* out) { *out << row.name << " " << row.from << " " << row.to; }

Blueprint with_option(const Option& row, const char* value) {
  Blueprint blueprint;
  blueprint.modules = {{"", "Net", true, {}, ""}, {"layer", row.type, false, {{row.name, value}}, ""}};
  return blueprint;
}

class ChangedOption : public testing::TestWithParam<Option> {};

TEST_P(ChangedOption, IsToldWithBothValues) {
  const Option& row = GetParam();
  EXPECT_EQ(texts_of(architecture_changes(with_option(row, row.from), with_option(row, row.to))),
            Texts{std::string("changed layer: option ") + row.name + ": " + row.told});
}

INSTANTIATE_TEST_SUITE_P(
    Table, ChangedOption,
    testing::Values(
        Option{"stride", "Conv2d", "[1,1]", "[2,2]", "Conv2d(stride=1) -> Conv2d(stride=2)"},
        Option{"padding", "Conv2d", "[0,0]", "[1,0]", "Conv2d(padding=0) -> Conv2d(padding=[1, 0])"},
        Option{"padding", "Conv2d", "[0,0]", R"("same")", "Conv2d(padding=0) -> Conv2d(padding=same)"},
        Option{"dilation", "Conv2d", "[1,1]", "[2,1]", "Conv2d(dilation=1) -> Conv2d(dilation=[2, 1])"},
        Option{"kernel_size", "MaxPool2d", "2", "[2,3]", "MaxPool2d(kernel_size=2) -> MaxPool2d(kernel_size=[2, 3])"},
        Option{"kernel_size", "MaxPool2d", "2", "3", "MaxPool2d(kernel_size=2) -> MaxPool2d(kernel_size=3)"},
        Option{"ceil_mode", "MaxPool2d", "false", "true", "MaxPool2d(ceil_mode=false) -> MaxPool2d(ceil_mode=true)"},
        Option{"p", "Dropout", "0.5", "0.1", "Dropout(p=0.5) -> Dropout(p=0.1)"},
        Option{"eps", "BatchNorm2d", "1e-5", "0.001", "BatchNorm2d(eps=1e-05) -> BatchNorm2d(eps=0.001)"},
        Option{"momentum", "BatchNorm2d", "0.1", "null", "BatchNorm2d(momentum=0.1) -> BatchNorm2d(momentum=none)"},
        Option{"negative_slope", "LeakyReLU", "0.01", "0.2",
               "LeakyReLU(negative_slope=0.01) -> LeakyReLU(negative_slope=0.2)"},
        Option{"approximate", "GELU", R"("none")", R"("tanh")", "GELU(approximate=none) -> GELU(approximate=tanh)"}),
    [](const auto& row) { return std::string(row.param.name) + "_" + std::to_string(row.index); });

struct SameOption {
  const char* name;
  const char* from;
  const char* to;
};
void PrintTo(const SameOption& row, std::ostream* out) { *out << row.name; }

class EqualOption : public testing::TestWithParam<SameOption> {};

TEST_P(EqualOption, IsNoChangeInEitherDirection) {
  const Option row{"kernel_size", "MaxPool2d", GetParam().from, GetParam().to, ""};
  const Blueprint from = with_option(row, row.from), to = with_option(row, row.to);
  EXPECT_EQ(texts_of(architecture_changes(from, to)), Texts{});
  EXPECT_EQ(texts_of(architecture_changes(to, from)), Texts{});
}

INSTANTIATE_TEST_SUITE_P(Table, EqualOption,
                         testing::Values(SameOption{"number_and_pair", "2", "[2,2]"},
                                         SameOption{"number_and_triple", "2", "[2,2,2]"},
                                         SameOption{"whole_and_real", "1", "1.0"},
                                         SameOption{"real_in_a_list", "[1,2]", "[1.0,2.0]"},
                                         SameOption{"spaces", "[2, 2]", "[2,2]"}),
                         [](const auto& row) { return row.param.name; });

TEST(ArchitectureChanges, SeveralOptionsOfOneModuleAreOneChange) {
  Blueprint from = test::small_blueprint(), to = from;
  module(to, "pool").options = {{"kernel_size", "3"}, {"stride", "1"}};
  from.graph.reset();
  to.graph.reset();
  EXPECT_EQ(texts_of(architecture_changes(from, to)),
            Texts{"changed pool: 2 options: MaxPool2d(kernel_size=2, stride=2) -> MaxPool2d(kernel_size=3, stride=1)"});
}

/// Versions add options; within one framework a missing one is a difference, between two it tells nothing.
TEST(ArchitectureChanges, AnOptionOnOneSideCountsWithinOneFrameworkOnly) {
  Blueprint from = test::small_blueprint(), to = from;
  module(to, "pool").options.emplace_back("ceil_mode", "true");
  EXPECT_EQ(texts_of(architecture_changes(from, to)),
            Texts{"changed pool: option ceil_mode: MaxPool2d() -> MaxPool2d(ceil_mode=true)"});
  to.environment[1].second = R"("libtorch 1.13.1")";
  EXPECT_EQ(texts_of(architecture_changes(from, to)), Texts{});
}

// ---- modules and ties

struct Change {
  const char* name;
  Edit make;
  Texts told;
};
void PrintTo(const Change& row, std::ostream* out) { *out << row.name; }

class ModuleChange : public testing::TestWithParam<Change> {};

TEST_P(ModuleChange, IsTold) {
  Blueprint from = test::small_blueprint(), to = from;
  GetParam().make(to);
  EXPECT_EQ(texts_of(architecture_changes(from, to)), GetParam().told);
}

INSTANTIATE_TEST_SUITE_P(
    Table, ModuleChange,
    testing::Values(Change{"added",
                           [](Blueprint& b) {
                             b.modules.push_back({"drop", "Dropout", false, {{"p", "0.5"}}, ""});
                           },
                           {"added drop: module:  -> Dropout(p=0.5)"}},
                    Change{"removed",
                           [](Blueprint& b) { b.modules.erase(b.modules.begin() + 2); },
                           {"removed pool: module: MaxPool2d(kernel_size=2, stride=2) -> "}},
                    Change{"activation_swapped",
                           [](Blueprint& b) {
                             module(b, "act") = {"act", "LeakyReLU", false, {{"negative_slope", "0.01"}}, ""};
                           },
                           {"changed act: class: ReLU() -> LeakyReLU(negative_slope=0.01)"}},
                    Change{"activation_without_options",
                           [](Blueprint& b) { module(b, "act").type = "Sigmoid"; },
                           {"changed act: class: ReLU() -> Sigmoid()"}},
                    Change{"own_layer_for_the_frameworks",
                           [](Blueprint& b) {
                             module(b, "act") = {"act", "Swish", true, {}, ""};
                           },
                           {"changed act: class: ReLU() -> Swish()"}},
                    Change{"option_and_its_operation_are_one_change",
                           [](Blueprint& b) {
                             module(b, "pool").options[1].second = "1";
                             b.graph->nodes[2].args = "[[2,2],[1,1],[0,0]]";
                           },
                           {"changed pool: option stride: MaxPool2d(stride=2) -> MaxPool2d(stride=1)"}},
                    Change{"shared_module_of_its_own",
                           [](Blueprint& b) { module(b, "fc").same_as = "conv"; },
                           {"changed fc: sharing: a module of its own -> the same module as conv"}},
                    Change{"weight_tying_lost",
                           [](Blueprint& b) { b.tensors[4].tied_to.clear(); },
                           {"changed out: tie of out.weight: tied to fc.weight -> a tensor of its own"}},
                    Change{"weight_tying_new",
                           [](Blueprint& b) { b.tensors[3].tied_to = "conv.bias"; },
                           {"changed fc: tie of fc.bias: a tensor of its own -> tied to conv.bias"}}),
    [](const auto& row) { return row.param.name; });

class NoModuleChange : public testing::TestWithParam<Change> {};

TEST_P(NoModuleChange, IsTold) {
  Blueprint from = test::small_blueprint(), to = from;
  GetParam().make(to);
  EXPECT_EQ(texts_of(architecture_changes(from, to)), Texts{});
  EXPECT_EQ(texts_of(architecture_changes(to, from)), Texts{});
}

INSTANTIATE_TEST_SUITE_P(
    Table, NoModuleChange,
    testing::Values(
        Change{"pair_for_a_number", [](Blueprint& b) { module(b, "pool").options[0].second = "[2,2]"; }, {}},
        Change{"inplace", [](Blueprint& b) { module(b, "act").options[0].second = "false"; }, {}},
        Change{"inplace_not_said", [](Blueprint& b) { module(b, "act").options.clear(); }, {}},
        Change{"class_of_the_model", [](Blueprint& b) { module(b, "").type = "OtherNet"; }, {}},
        Change{"class_name", [](Blueprint& b) { b.class_name = "OtherNet"; }, {}},
        Change{"shared_module_without_tensors", [](Blueprint& b) { module(b, "again").same_as.clear(); }, {}},
        Change{"another_batch",
               [](Blueprint& b) {
                 b.graph->batch = 8;
                 for (GraphNode& row : b.graph->nodes) row.output->front() = 8;
               },
               {}},
        Change{"no_modules_known", [](Blueprint& b) { b.modules.clear(); }, {}},
        Change{"no_graph", [](Blueprint& b) { b.graph.reset(); }, {}},
        Change{"another_recorder",
               [](Blueprint& b) {
                 b.graph->recorder = "record_function";
                 b.graph->nodes.pop_back();
               },
               {}},
        Change{"probe_training_environment",
               [](Blueprint& b) {
                 b.probe.reset();
                 b.training.clear();
                 b.optimizer.clear();
                 b.tensors[0].requires_grad = false;
               },
               {}}),
    [](const auto& row) { return row.param.name; });

/// A block of the user's has another name in the next version of the code; what is in it decides.
TEST(ArchitectureChanges, TheClassNameOfACustomContainerIsNone) {
  Blueprint from;
  from.modules = {{"", "Net", true, {}, ""}, {"block", "OldBlock", true, {}, ""}, {"block.act", "ReLU", false, {}, ""}};
  Blueprint to = from;
  to.modules[1].type = "NewBlock";
  EXPECT_EQ(texts_of(architecture_changes(from, to)), Texts{});
  from.modules.pop_back();
  to.modules.pop_back();  // without children the class is all that is known of what it computes
  EXPECT_EQ(texts_of(architecture_changes(from, to)), Texts{"changed block: class: OldBlock() -> NewBlock()"});
}

// ---- operations

TEST(GraphChanges, AFunctionalReluLeftOutIsToldOnce) {
  const Blueprint from = test::small_blueprint();
  Blueprint to = from;
  to.graph->nodes.erase(to.graph->nodes.begin() + 1);
  for (std::size_t i = 1; i < to.graph->nodes.size(); ++i) to.graph->nodes[i].operands[0].index = i - 1;
  EXPECT_EQ(texts_of(architecture_changes(from, to)), Texts{"removed : operation relu: relu() -> "});
  EXPECT_EQ(texts_of(architecture_changes(to, from)), Texts{"added : operation relu:  -> relu()"});
}

TEST(GraphChanges, TheOrderOfTwoEqualLayersIsTold) {
  const auto layer = [](const std::string& name, const Operand& input) {
    return node("conv2d", name, "[]", {input, of_tensor(name + ".weight")});
  };
  const Blueprint from = running({layer("a", of_input()), layer("b", of_node(0))});
  const Blueprint to = running({layer("b", of_input()), layer("a", of_node(0))});
  const Texts told = texts_of(architecture_changes(from, to));
  ASSERT_EQ(told.size(), 2U);
  EXPECT_EQ(told[0], "removed a: operation conv2d: conv2d(a.weight) -> ");
  EXPECT_EQ(told[1], "added a: operation conv2d:  -> conv2d(a.weight)");
}

TEST(GraphChanges, OneOperationForAnotherIsAChange) {
  const Blueprint from = running({node("relu", "", "[]", {of_input()})});
  const Blueprint to = running({node("leaky_relu", "", "[0.1]", {of_input()})});
  EXPECT_EQ(texts_of(architecture_changes(from, to)), Texts{"changed : operation relu: relu() -> leaky_relu(0.1)"});
}

TEST(GraphChanges, ArgumentsAreTold) {
  const Blueprint from = running({node("softmax", "", R"([{"dim":1}])", {of_input()})});
  const Blueprint to = running({node("softmax", "", R"([{"dim":0}])", {of_input()})});
  EXPECT_EQ(texts_of(architecture_changes(from, to)),
            Texts{"changed : operation softmax: softmax(dim=1) -> softmax(dim=0)"});
}

/// A skip connection from another place: the same operations, fed otherwise.
TEST(GraphChanges, OtherOperandsAreTold) {
  const auto net = [](std::uint64_t skip) {
    return running({node("relu", "", "[]", {of_input()}), node("tanh", "", "[]", {of_node(0)}),
                    node("add", "", "[]", {of_node(1), of_node(skip)})});
  };
  EXPECT_EQ(texts_of(architecture_changes(net(0), net(1))),
            Texts{"changed : operands of add: add of tanh, relu -> add of tanh, tanh"});
}

/// A weight used in another place is another operation.
TEST(GraphChanges, AnotherWeightIsTold) {
  const Blueprint from = running({node("linear", "", "[]", {of_input(), of_tensor("a")})});
  const Blueprint to = running({node("linear", "", "[]", {of_input(), of_tensor("b")})});
  EXPECT_EQ(texts_of(architecture_changes(from, to)), Texts{"changed : operation linear: linear(a) -> linear(b)"});
}

struct Batched {
  const char* name;
  const char* op;
  const char* from;
  const char* to;
  bool is_same;
};
void PrintTo(const Batched& row, std::ostream* out) { *out << row.name; }

class OtherBatch : public testing::TestWithParam<Batched> {};

/// 2 samples there, 8 here.
TEST_P(OtherBatch, ChangesExtentsOfShapesOnly) {
  const Blueprint from = running({node(GetParam().op, "", GetParam().from, {of_input()})}, 2);
  const Blueprint to = running({node(GetParam().op, "", GetParam().to, {of_input()})}, 8);
  EXPECT_EQ(architecture_changes(from, to).empty(), GetParam().is_same);
}

INSTANTIATE_TEST_SUITE_P(Table, OtherBatch,
                         testing::Values(Batched{"batch_written_as_n", "view", R"(["N",36])", R"(["N",36])", true},
                                         Batched{"batch_as_a_number", "view", "[2,36]", "[8,36]", true},
                                         Batched{"batch_times_heads", "reshape", "[[6,5,4]]", "[[24,5,4]]", true},
                                         Batched{"features", "view", R"(["N",36])", R"(["N",40])", false},
                                         Batched{"not_in_ratio", "view", "[2,36]", "[6,36]", false},
                                         Batched{"created", "zeros", "[[2,1]]", "[[8,1]]", true},
                                         Batched{"window_that_grew_like_the_batch", "max_pool2d", "[2]", "[8]", false},
                                         Batched{"factor_that_grew_like_the_batch", "mul", "[2]", "[8]", false},
                                         Batched{"keyword_that_grew_like_the_batch", "conv2d", R"([{"groups":2}])",
                                                 R"([{"groups":8}])", false}),
                         [](const auto& row) { return row.param.name; });

// ---- changes_since

struct Since {
  const char* name;
  Edit make;
  std::string clause;
};
void PrintTo(const Since& row, std::ostream* out) { *out << row.name; }

class ChangesSince : public testing::TestWithParam<Since> {};

TEST_P(ChangesSince, SaysItInOneClause) {
  const Blueprint parent = test::small_blueprint();
  Blueprint child = parent;
  GetParam().make(child);
  EXPECT_EQ(changes_since(parent, child), Texts{GetParam().clause});
}

INSTANTIATE_TEST_SUITE_P(
    Table, ChangesSince,
    testing::Values(
        Since{"tensor_added",
              [](Blueprint& b) {
                b.tensors.push_back({"new.bias", DType::Float32, Shape{1}, Role::Parameter, "", std::nullopt});
              },
              "1 tensor added: new.bias"},
        Since{"tensor_removed", [](Blueprint& b) { b.tensors.pop_back(); }, "1 tensor removed: steps"},
        Since{"dtypes",
              [](Blueprint& b) {
                for (std::size_t i = 0; i < 4; ++i) b.tensors[i].dtype = DType::Float16;
              },
              "4 tensors changed dtype: conv.weight float32 to float16, conv.bias float32 to float16, fc.weight "
              "float32 to float16 and 1 more"},
        Since{"shape", [](Blueprint& b) { b.tensors[3].shape = Shape{5}; },
              "1 tensor changed shape: fc.bias [3] to [5]"},
        Since{"frozen", [](Blueprint& b) { b.tensors[2].requires_grad = false; }, "1 tensor frozen: fc.weight"},
        Since{"thawed", [](Blueprint& b) { b.tensors[1].requires_grad = true; },
              "1 tensor no longer frozen: conv.bias"},
        Since{"module_added",
              [](Blueprint& b) {
                b.modules.push_back({"drop", "Dropout", false, {{"p", "0.5"}}, ""});
              },
              "module drop added: Dropout(p=0.5)"},
        Since{"module_removed", [](Blueprint& b) { b.modules.erase(b.modules.begin() + 2); },
              "module pool removed: MaxPool2d(kernel_size=2, stride=2)"},
        Since{"option", [](Blueprint& b) { module(b, "pool").options[1].second = "1"; },
              "pool: option stride changed from MaxPool2d(stride=2) to MaxPool2d(stride=1)"},
        Since{"operation", [](Blueprint& b) { b.graph->nodes.pop_back(); }, "the model: operation add removed"},
        Since{"optimizer_groups", [](Blueprint& b) { b.optimizer.push_back({}); }, "1 optimizer group became 2"},
        Since{"environment", [](Blueprint& b) { b.environment[1].second = R"("torch 2.4.0")"; },
              "framework changed from torch 1.13.1 to torch 2.4.0"}),
    [](const auto& row) { return row.param.name; });

TEST(ChangesSince, NothingChangedIsNoClause) {
  EXPECT_EQ(changes_since(test::small_blueprint(), test::small_blueprint()), Texts{});
}

}  // namespace
}  // namespace tenon
