// The JSON form of blueprints: there and back, what is refused and where, and what the digests cover.
#include <gtest/gtest.h>

#include <functional>
#include <ostream>
#include <string>

#include <tenon/blueprint.hpp>
#include <tenon/error.hpp>

#include "support/blueprints.hpp"

namespace tenon {
namespace {

// ---- there and back

TEST(BlueprintJson, ComesBackWhole) {
  const std::string text = to_json(test::small_blueprint());
  const Blueprint read = parse_blueprint(text, "x.json");
  EXPECT_EQ(to_json(read), text);
  EXPECT_EQ(blueprint_digest(read), blueprint_digest(test::small_blueprint()));
}

/// to_json() could leave a member out on both ways; so each member is looked at once.
TEST(BlueprintJson, EveryMemberIsRead) {
  const Blueprint read = parse_blueprint(to_json(test::small_blueprint()), "x.json");
  EXPECT_EQ(read.class_name, "Net");
  ASSERT_EQ(read.tensors.size(), 6U);
  EXPECT_EQ(read.tensors[1].requires_grad, false);
  EXPECT_EQ(read.tensors[4].tied_to, "fc.weight");
  EXPECT_EQ(read.tensors[5].role, Role::Buffer);
  EXPECT_EQ(read.tensors[5].requires_grad, std::nullopt);
  ASSERT_EQ(read.modules.size(), 7U);
  EXPECT_TRUE(read.modules[0].is_custom);
  EXPECT_EQ(read.modules[0].options, (JsonMembers{{"name", R"("grüße")"}}));
  EXPECT_EQ(read.modules[4].same_as, "act");
  ASSERT_TRUE(read.graph);
  EXPECT_EQ(read.graph->recorder, "torch_function");
  EXPECT_EQ(read.graph->batch, 2);
  ASSERT_EQ(read.graph->nodes.size(), 6U);
  const auto expected = test::small_graph();
  for (std::size_t i = 0; i < 6; ++i) {
    EXPECT_EQ(read.graph->nodes[i].op, expected.nodes[i].op);
    EXPECT_EQ(read.graph->nodes[i].module, expected.nodes[i].module);
    EXPECT_EQ(read.graph->nodes[i].args, expected.nodes[i].args);
    EXPECT_EQ(read.graph->nodes[i].output, expected.nodes[i].output);
    EXPECT_EQ(read.graph->nodes[i].operands, expected.nodes[i].operands) << i;
  }
  ASSERT_EQ(read.optimizer.size(), 1U);
  EXPECT_EQ(read.optimizer[0].options, (JsonMembers{{"lr", "0.01"}, {"momentum", "0.9"}}));
  EXPECT_EQ(read.optimizer[0].parameters, (std::vector<std::string>{"fc.weight", "fc.bias"}));
  EXPECT_EQ(read.environment, test::small_blueprint().environment);
  EXPECT_EQ(read.training, test::small_blueprint().training);
  ASSERT_EQ(read.unsaved.size(), 1U);
  EXPECT_EQ(read.unsaved[0].name, "layers.0.weight");
  EXPECT_EQ(read.unsaved[0].why, "module in a list");
  ASSERT_EQ(read.parents.size(), 1U);
  EXPECT_EQ(read.parents[0].digest, "sha256:cc");
  EXPECT_EQ(read.parents[0].file, "before.safetensors");
  EXPECT_EQ(read.changes, test::small_blueprint().changes);
}

TEST(BlueprintJson, TheProbeIsReadWithItsOddNumbers) {
  const Blueprint read = parse_blueprint(to_json(test::small_blueprint()), "x.json");
  ASSERT_TRUE(read.probe);
  const Probe& probe = *read.probe;
  EXPECT_EQ(probe.seed, 7U);
  EXPECT_TRUE(probe.is_deterministic);
  EXPECT_EQ(probe.findings.size(), 1U);
  EXPECT_EQ(probe.accepted, "the head was trained anew");
  ASSERT_EQ(probe.inputs.size(), 1U);
  EXPECT_EQ(probe.inputs[0].values, (std::vector<double>{0.5, -1}));
  EXPECT_EQ(probe.inputs[0].digest, "sha256:aa");
  ASSERT_EQ(probe.outputs.size(), 1U);
  EXPECT_EQ(probe.outputs[0].tolerance, 0.002);
  EXPECT_EQ(probe.outputs[0].scale, 6);
  EXPECT_EQ(probe.outputs[0].sample[4], 0.1);  // all digits of a double are written
  ASSERT_EQ(probe.modules.size(), 2U);
  ASSERT_EQ(probe.modules[0].sample.size(), 4U);
  EXPECT_TRUE(std::isnan(probe.modules[0].sample[2]));
  EXPECT_EQ(probe.modules[0].sample[3], -std::numeric_limits<double>::infinity());
  ASSERT_EQ(probe.state.size(), 2U);
  EXPECT_EQ(probe.state[1].magnitude, std::numeric_limits<double>::infinity());
}

TEST(BlueprintJson, WhatIsNoUtf8IsReplacedTheSameWayInTextAndDigests) {
  Blueprint blueprint;
  blueprint.tensors = {{"w\xff", DType::Float32, Shape{1}, Role::Unknown, "", std::nullopt}};
  const std::string text = to_json(blueprint);
  EXPECT_EQ(to_json(parse_blueprint(text, "x.json")), text);
}

TEST(BlueprintJson, TheSmallestBlueprintHasNoMoreThanTensors) {
  const Blueprint read =
      parse_blueprint(R"( {"schema": "tenon.blueprint/1", "tensors": [], "later": [{"x": 1}]} )", "x");
  EXPECT_TRUE(read.tensors.empty() && read.modules.empty() && !read.graph && !read.probe);
}

TEST(BlueprintJson, GraphsOfOtherWritersMayHaveEdgesAndParametersOnly) {
  const Blueprint read = parse_blueprint(R"({"schema": "tenon.blueprint/1", "tensors": [], "graph": {
    "nodes": [{"id": 0, "op": "Convolution", "parameters": ["conv.weight"]}, {"id": 1, "op": "Relu"}],
    "edges": [[0, 1]]}})",
                                         "x");
  ASSERT_TRUE(read.graph);
  EXPECT_EQ(read.graph->nodes[0].operands, (std::vector<Operand>{{Operand::From::Tensor, 0, "conv.weight"}}));
  EXPECT_EQ(read.graph->nodes[1].operands, (std::vector<Operand>{{Operand::From::Node, 0, {}}}));
}

// ---- what is refused

struct Damaged {
  const char* name;
  std::string text;
  Code code;
  const char* place;    ///< member
  const char* message;  ///< a part of it
};
void PrintTo(const Damaged& row, std::ostream* out) { *out << row.name; }

class DamagedBlueprint : public testing::TestWithParam<Damaged> {};

TEST_P(DamagedBlueprint, IsRefusedWithPlaceAndReason) {
  try {
    parse_blueprint(GetParam().text, "net.blueprint.json");
    FAIL() << "it was read";
  } catch (const Error& error) {
    EXPECT_EQ(error.code, GetParam().code) << error.what();
    EXPECT_EQ(error.where.file, "net.blueprint.json");
    EXPECT_EQ(error.where.key, GetParam().place) << error.what();
    EXPECT_NE(std::string(error.what()).find(GetParam().message), std::string::npos) << error.what();
  }
}

/// A blueprint without tensors that has one more member.
std::string with(const std::string& member) {
  return R"({"schema": "tenon.blueprint/1", "tensors": [], )" + member + "}";
}
std::string tensor(const std::string& members) {
  return R"({"schema": "tenon.blueprint/1", "tensors": [{)" + members + "}]}";
}
std::string nodes(const std::string& rows, const std::string& edges = "[]") {
  return with(R"("graph": {"nodes": [)" + rows + R"(], "edges": )" + edges + "}");
}
std::string operand(const std::string& text) {
  return nodes(R"({"op": "relu", "operands": ["input:0"]}, {"op": "add", "operands": [")" + text + R"("]})");
}
std::string output(const std::string& members) {
  return with(R"("probe": {"outputs": [{"dtype": "float32", "shape": [1], )" + members + "}]}");
}
const std::string kTwoNodes = R"({"op": "relu"}, {"op": "add"})";
const std::string kFloat = R"("name": "w", "dtype": "float32", "shape": )";
const std::string kHuge = "18446744073709551615";

INSTANTIATE_TEST_SUITE_P(
    Table, DamagedBlueprint,
    testing::Values(
        Damaged{"empty", "", Code::Corrupt, "", "not valid JSON"},
        Damaged{"cut", R"({"schema": "tenon.bl)", Code::Corrupt, "", "not valid JSON"},
        Damaged{"two_documents", with(R"("class": null)") + "{}", Code::Corrupt, "", "not valid JSON"},
        Damaged{"no_utf8", with("\"class\": \"\xff\""), Code::Corrupt, "", "not valid JSON"},
        Damaged{"array", "[]", Code::Unsupported, "schema", "no blueprint"},
        Damaged{"other_schema", R"({"schema": "tenon.blueprint/2", "tensors": []})", Code::Unsupported, "schema",
                "tenon.blueprint/2"},
        Damaged{"schema_is_a_number", R"({"schema": 1, "tensors": []})", Code::Unsupported, "schema", "unknown schema"},
        Damaged{"no_tensors", R"({"schema": "tenon.blueprint/1"})", Code::Corrupt, "tensors", "lists no tensors"},
        Damaged{"tensor_without_name", tensor(R"("dtype": "float32", "shape": [1])"), Code::Corrupt, "tensors[0].name",
                "a text is missing"},
        Damaged{"tensor_is_a_text", R"({"schema": "tenon.blueprint/1", "tensors": ["w"]})", Code::Corrupt, "tensors[0]",
                "no JSON object"},
        Damaged{"unknown_dtype", tensor(R"("name": "w", "dtype": "float33", "shape": [1])"), Code::Corrupt,
                "tensors[0].dtype", "float33"},
        Damaged{"negative_extent", tensor(kFloat + "[2, -3]"), Code::Corrupt, "tensors[0].shape", "-3"},
        Damaged{"extent_is_a_text", tensor(kFloat + R"(["N"])"), Code::Corrupt, "tensors[0].shape", "N"},
        Damaged{"enormous_extent", tensor(kFloat + "[" + kHuge + "]"), Code::Corrupt, "tensors[0].shape",
                kHuge.c_str()},
        Damaged{"enormous_product", tensor(kFloat + "[4294967296, 4294967296]"), Code::Corrupt, "tensors[0].shape",
                "more elements"},
        Damaged{"unknown_role", tensor(kFloat + R"([1], "role": "weight")"), Code::Corrupt, "tensors[0].role",
                "parameter or buffer"},
        Damaged{"frozen_is_a_text", tensor(kFloat + R"([1], "requires_grad": "no")"), Code::Corrupt,
                "tensors[0].requires_grad", "true or false"},
        Damaged{"module_without_type", with(R"("modules": [{"path": "fc"}])"), Code::Corrupt, "modules[0].type",
                "a text is missing"},
        Damaged{"options_are_a_list", with(R"("modules": [{"path": "fc", "type": "Linear", "options": [1]}])"),
                Code::Corrupt, "modules[0].options", "no JSON object"},
        Damaged{"modules_are_an_object", with(R"("modules": {"path": ""})"), Code::Corrupt, "modules", "no array"},
        Damaged{"graph_is_a_list", with(R"("graph": [])"), Code::Corrupt, "graph", "no JSON object"},
        Damaged{"operand_before_its_node", operand("node:7"), Code::Corrupt, "graph.nodes[1].operands", "node:7"},
        Damaged{"operand_is_its_own_node", operand("node:1"), Code::Corrupt, "graph.nodes[1].operands", "node:1"},
        Damaged{"operand_of_no_kind", operand("wire:0"), Code::Corrupt, "graph.nodes[1].operands", "wire:0"},
        Damaged{"operand_without_number", operand("node:"), Code::Corrupt, "graph.nodes[1].operands", "node:"},
        Damaged{"operand_negative", operand("node:-1"), Code::Corrupt, "graph.nodes[1].operands", "node:-1"},
        Damaged{"operand_enormous", operand("node:" + kHuge), Code::Corrupt, "graph.nodes[1].operands", kHuge.c_str()},
        Damaged{"operand_is_a_number", nodes(R"({"op": "relu", "operands": [0]})"), Code::Corrupt,
                "graph.nodes[0].operands", "no text"},
        Damaged{"edge_out_of_range", nodes(kTwoNodes, "[[0, 2]]"), Code::Corrupt, "graph.edges", "[0,2]"},
        Damaged{"edge_back", nodes(kTwoNodes, "[[1, 0]]"), Code::Corrupt, "graph.edges", "[1,0]"},
        Damaged{"edge_to_itself", nodes(kTwoNodes, "[[1, 1]]"), Code::Corrupt, "graph.edges", "[1,1]"},
        Damaged{"edge_negative", nodes(kTwoNodes, "[[-1, 1]]"), Code::Corrupt, "graph.edges", "[-1,1]"},
        Damaged{"edge_of_three", nodes(kTwoNodes, "[[0, 1, 1]]"), Code::Corrupt, "graph.edges", "[0,1,1]"},
        Damaged{"args_are_a_text", nodes(R"({"op": "relu", "args": "none"})"), Code::Corrupt, "graph.nodes[0].args",
                "no array"},
        Damaged{"batch_negative", with(R"("graph": {"batch": -2})"), Code::Corrupt, "graph.batch", "-2"},
        Damaged{"batch_enormous", with(R"("graph": {"batch": )" + kHuge + "}"), Code::Corrupt, "graph.batch",
                kHuge.c_str()},
        Damaged{"sample_is_a_text", output(R"("sample": "1, 2")"), Code::Corrupt, "probe.outputs[0].sample",
                "no array"},
        Damaged{"sample_holds_a_word", output(R"("sample": [1, "many"])"), Code::Corrupt, "probe.outputs[0].sample",
                "no number"},
        Damaged{"sample_holds_nan_in_capitals", output(R"("sample": ["NaN"])"), Code::Corrupt,
                "probe.outputs[0].sample", "no number"},
        Damaged{"nan_that_is_no_json", output(R"("sample": [NaN])"), Code::Corrupt, "", "not valid JSON"},
        Damaged{"number_beyond_a_double", output(R"("sample": [1e999])"), Code::Corrupt, "", "1e999"},
        Damaged{"seed_negative", with(R"("probe": {"seed": -1})"), Code::Corrupt, "probe.seed", "-1"},
        Damaged{"fingerprint_without_name", with(R"("probe": {"state": [{"sum": 1}]})"), Code::Corrupt,
                "probe.state[0].name", "a text is missing"},
        Damaged{"parent_without_digest", with(R"("parents": [{"file": "x"}])"), Code::Corrupt, "parents[0].digest",
                "a text is missing"},
        Damaged{"changes_hold_a_number", with(R"("changes": [1])"), Code::Corrupt, "changes", "no text"},
        Damaged{"environment_is_a_text", with(R"("environment": "torch")"), Code::Corrupt, "environment",
                "no JSON object"},
        Damaged{"optimizer_is_a_list", with(R"("optimizer": [])"), Code::Corrupt, "optimizer", "no JSON object"},
        Damaged{"member_twice", with(R"("class": "A", "class": "B")"), Code::Corrupt, "class", "named twice"},
        Damaged{"option_twice", with(R"("modules": [{"path": "", "type": "A", "options": {"p": 1, "p": 2}}])"),
                Code::Corrupt, "p", "named twice"},
        Damaged{"tensor_twice",
                R"({"schema": "tenon.blueprint/1", "tensors": [{)" + kFloat + "[1]}, {" + kFloat + "[2]}]}",
                Code::Corrupt, "tensors[1].name", "two tensors have one name"},
        Damaged{"deep", with(R"("training": {"x": )" + std::string(200, '[') + std::string(200, ']') + "}"),
                Code::Limit, "", "nested too deep"},
        Damaged{"very_deep", std::string(500'000, '['), Code::Limit, "", "nested too deep"}),
    [](const auto& row) { return row.param.name; });

TEST(BlueprintJson, ALimitOnTheLengthHolds) {
  Limits limits;
  limits.json_file_bytes = 10;
  try {
    parse_blueprint(with(R"("class": "A")"), "x.json", limits);
    FAIL() << "it was read";
  } catch (const Error& error) {
    EXPECT_EQ(error.code, Code::Limit);
  }
}

// ---- digests

struct Change {
  const char* name;
  std::function<void(Blueprint&)> make;
};
void PrintTo(const Change& row, std::ostream* out) { *out << row.name; }

class StructureChange : public testing::TestWithParam<Change> {};

TEST_P(StructureChange, ChangesBothDigests) {
  const Blueprint before = test::small_blueprint();
  Blueprint after = before;
  GetParam().make(after);
  EXPECT_NE(structure_digest(after), structure_digest(before));
  EXPECT_NE(architecture_digest(after), architecture_digest(before));
}

INSTANTIATE_TEST_SUITE_P(Table, StructureChange,
                         testing::Values(Change{"name", [](Blueprint& b) { b.tensors[0].name = "conv1.weight"; }},
                                         Change{"dtype", [](Blueprint& b) { b.tensors[0].dtype = DType::Float16; }},
                                         Change{"shape",
                                                [](Blueprint& b) {
                                                  b.tensors[0].shape = Shape{4, 1, 9};
                                                }},
                                         Change{"tie_lost", [](Blueprint& b) { b.tensors[4].tied_to.clear(); }},
                                         Change{"tie_new", [](Blueprint& b) { b.tensors[3].tied_to = "conv.bias"; }},
                                         Change{"tensor_less", [](Blueprint& b) { b.tensors.pop_back(); }}),
                         [](const auto& row) { return row.param.name; });

class FunctionChange : public testing::TestWithParam<Change> {};

TEST_P(FunctionChange, ChangesTheArchitectureDigestAlone) {
  const Blueprint before = test::small_blueprint();
  Blueprint after = before;
  GetParam().make(after);
  EXPECT_EQ(structure_digest(after), structure_digest(before));
  EXPECT_NE(architecture_digest(after), architecture_digest(before));
}

INSTANTIATE_TEST_SUITE_P(
    Table, FunctionChange,
    testing::Values(Change{"option", [](Blueprint& b) { b.modules[1].options[2].second = "[2,2]"; }},
                    Change{"option_less", [](Blueprint& b) { b.modules[1].options.pop_back(); }},
                    Change{"class_of_a_layer", [](Blueprint& b) { b.modules[3].type = "GELU"; }},
                    Change{"path", [](Blueprint& b) { b.modules[3].path = "activation"; }},
                    Change{"module_less", [](Blueprint& b) { b.modules.erase(b.modules.begin() + 2); }},
                    Change{"operation_less", [](Blueprint& b) { b.graph->nodes.pop_back(); }},
                    Change{"operation", [](Blueprint& b) { b.graph->nodes[1].op = "gelu"; }},
                    Change{"arguments", [](Blueprint& b) { b.graph->nodes[2].args = "[[3,3],[2,2],[0,0]]"; }},
                    Change{"operands", [](Blueprint& b) { b.graph->nodes[4].operands[0].index = 2; }},
                    Change{"place_of_an_operation", [](Blueprint& b) { b.graph->nodes[1].module = "act"; }}),
    [](const auto& row) { return row.param.name; });

class NoFunctionChange : public testing::TestWithParam<Change> {};

TEST_P(NoFunctionChange, LeavesTheDigestAndIsWritten) {
  const Blueprint before = test::small_blueprint();
  Blueprint after = before;
  GetParam().make(after);
  EXPECT_EQ(architecture_digest(after), architecture_digest(before));
  EXPECT_NE(blueprint_digest(after), blueprint_digest(before));
}

INSTANTIATE_TEST_SUITE_P(
    Table, NoFunctionChange,
    testing::Values(Change{"batch",
                           [](Blueprint& b) {
                             b.graph->batch = 8;
                             for (GraphNode& node : b.graph->nodes) node.output->front() = 8;
                           }},
                    Change{"inplace", [](Blueprint& b) { b.modules[3].options[0].second = "false"; }},
                    Change{"class_of_the_container", [](Blueprint& b) { b.modules[0].type = "OtherNet"; }},
                    Change{"class_name", [](Blueprint& b) { b.class_name = "OtherNet"; }},
                    Change{"order_of_tensors", [](Blueprint& b) { std::swap(b.tensors[0], b.tensors[5]); }},
                    Change{"role", [](Blueprint& b) { b.tensors[0].role = Role::Unknown; }},
                    Change{"requires_grad", [](Blueprint& b) { b.tensors[0].requires_grad = false; }},
                    Change{"environment", [](Blueprint& b) { b.environment[1].second = R"("torch 2.4.0")"; }},
                    Change{"training", [](Blueprint& b) { b.training.clear(); }},
                    Change{"optimizer", [](Blueprint& b) { b.optimizer.clear(); }},
                    Change{"probe", [](Blueprint& b) { b.probe.reset(); }},
                    Change{"unsaved", [](Blueprint& b) { b.unsaved.clear(); }},
                    Change{"parents", [](Blueprint& b) { b.parents.clear(); }}),
    [](const auto& row) { return row.param.name; });

/// The lines that docs/formats/blueprint.md describes, written out; SHA-256 of them by another program:
/// printf 'b int64 [] \nw float32 [2,3] \n' | sha256sum
TEST(BlueprintDigest, IsTakenOverTheLinesOfTheDocument) {
  Blueprint blueprint;
  blueprint.tensors = {{"w", DType::Float32, Shape{2, 3}, Role::Parameter, "", true},
                       {"b", DType::Int64, Shape{}, Role::Buffer, "", std::nullopt}};
  EXPECT_EQ(structure_digest(blueprint), "sha256:5fb785281cecd1b38954b7b0ef5032aba7d32fdf9faae68d742ee287b5ce00f3");
  // (printf '<hex above>\n Net {}\nact ReLU {"p":0.5}\n'; printf 'relu act [1] ["input:0"]\n') | sha256sum
  blueprint.modules = {{"", "Net", false, {}, ""}, {"act", "ReLU", false, {{"inplace", "true"}, {"p", "0.5"}}, ""}};
  blueprint.graph = Graph{"torch_function", 2, {{"relu", "act", "[1]", Shape{2, 3}, {{Operand::From::Input, 0, {}}}}}};
  EXPECT_EQ(architecture_digest(blueprint), "sha256:f2bdd0827ccf9e577c46d8b55a8b1894cb612d2a67da3bc05751266aa925fd44");
}

}  // namespace
}  // namespace tenon
