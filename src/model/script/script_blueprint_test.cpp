// The blueprint of a TorchScript archive: what its code tells, which forms of it are one, and code that is odd.
#include "model/script/script_blueprint.hpp"

#include <gtest/gtest.h>

#include <ostream>
#include <string>
#include <vector>

#include "base/utf8.hpp"
#include "support/memory_checkpoint.hpp"

namespace tenon::model {
namespace {

using Texts = std::vector<std::string>;

constexpr char kRoot[] = "__torch__.Net";

/// An archive of one module, its `forward` given line by line, beside a submodule `act` without tensors.
class Archive {
 public:
  explicit Archive(const std::string& body, const std::string& more = {}) : memory_("net.pt") {
    formats::CheckpointCore& core = memory_.core();
    core.format = Format::TorchScript;
    core.containers[0] = {.path = {}, .kind = ContainerKind::Module, .type = kRoot, .parent = 0, .key = {}};
    memory_.add<float>("weight", DType::Float32, {2, 2}, {1, 2, 3, 4});
    memory_.add_object("k", {std::int64_t{3}});
    memory_.add_object("act", {Record{"__torch__.torch.nn.modules.activation.___torch_mangle_4.ReLU", {}, {}}});
    core.sources = {{"code/__torch__.py", std::string("class Net(Module):\n"
                                                      "  __parameters__ = [\"weight\", ]\n"
                                                      "  weight : Tensor\n"
                                                      "  training : bool\n"
                                                      "  k : int\n"
                                                      "  act : __torch__.torch.nn.modules.activation.ReLU\n"
                                                      "  def forward(self: __torch__.Net,\n"
                                                      "      x: Tensor) -> Tensor:\n") +
                                              body + more},
                    {"code/__torch__/torch/nn/modules/activation/___torch_mangle_4.py",
                     "class ReLU(Module):\n"
                     "  inplace : Final[bool] = False\n"
                     "  def forward(self: ReLU, input: Tensor) -> Tensor:\n"
                     "    return __torch__.torch.nn.functional.relu(input, False, )\n"},
                    {"code/__torch__/torch/nn/functional.py",
                     "def relu(input: Tensor,\n    inplace: bool=False) -> Tensor:\n"
                     "  if inplace:\n    result = torch.relu_(input)\n  else:\n    result = torch.relu(input)\n"
                     "  return result\n"}};
  }

  std::optional<Blueprint> blueprint() {
    warnings.clear();
    return script_blueprint(memory_.checkpoint(), {{"weight", DType::Float32, Shape{2, 2}, Role::Unknown, {}}},
                            warnings);
  }

  Texts operations() {
    Texts texts;
    const auto read = blueprint();
    if (!read || !read->graph) return warnings;
    for (const GraphNode& node : read->graph->nodes) {
      std::string text = node.op + node.args;
      for (const Operand& operand : node.operands)
        text += operand.from == Operand::From::Node     ? " n" + std::to_string(operand.index)
                : operand.from == Operand::From::Input  ? " i" + std::to_string(operand.index)
                : operand.from == Operand::From::Tensor ? " " + operand.name
                                                        : " ?";
      texts.push_back(text);
    }
    return texts;
  }

  formats::CheckpointCore& core() { return memory_.core(); }
  Texts warnings;

 private:
  test::MemoryCheckpoint memory_;
};

struct Row {
  const char* name;
  const char* body;  ///< of forward
  Texts operations;
};
void PrintTo(const Row& row, std::ostream* out) { *out << row.name; }

class Followed : public testing::TestWithParam<Row> {};

TEST_P(Followed, GivesTheOperationsThatRun) { EXPECT_EQ(Archive(GetParam().body).operations(), GetParam().operations); }

INSTANTIATE_TEST_SUITE_P(
    Table, Followed,
    testing::Values(
        Row{"weight", "    weight = self.weight\n    return torch.mv(weight, x)\n", {"mv[] weight i0"}},
        Row{"submodule", "    act = self.act\n    return (act).forward(x, )\n", {"relu[] i0"}},
        Row{"attribute", "    k = self.k\n    return torch.mul(x, k)\n", {"mul[3] i0"}},
        Row{"literal_first", "    return torch.pow(2, x)\n", {"pow[2,null] i0"}},
        Row{"defaults",
            "    return torch.max_pool2d(x, [2, 2])\n",
            {R"(max_pool2d[{"ceil_mode":false},{"dilation":[1,1]},{"kernel_size":[2,2]},{"padding":[0,0]},)"
             R"({"stride":[2,2]}] i0)"}},
        Row{"defaults_written_out",
            "    return torch.max_pool2d(x, [2, 2], annotate(List[int], []), [0, 0], [1, 1], False)\n",
            {R"(max_pool2d[{"ceil_mode":false},{"dilation":[1,1]},{"kernel_size":[2,2]},{"padding":[0,0]},)"
             R"({"stride":[2,2]}] i0)"}},
        Row{"traced_convolution",
            "    weight = self.weight\n"
            "    return torch._convolution(x, weight, None, [2], [0], [1], False, [0], 1, False, False, True, True)\n",
            {R"(conv1d[{"dilation":[1]},{"groups":1},{"padding":[0]},{"stride":[2]}] i0 weight)"}},
        Row{"training_is_off",
            "    training = self.training\n    if training:\n      y = torch.neg(x)\n    else:\n      y = x\n"
            "    return torch.abs(y)\n",
            {"abs[] i0"}},
        Row{"unknown_branch",
            "    if torch.gt(torch.size(x, 0), 5):\n      y = torch.neg(x)\n    else:\n      y = x\n    return y\n",
            {"neg[] i0", R"x(if["gt(size(0), 5)"] n0 i0)x"}},
        Row{"assertion",
            "    if torch.eq(torch.dim(x), 2):\n      pass\n    else:\n"
            "      ops.prim.RaiseException(\"no\", \"builtins.ValueError\")\n    return torch.abs(x)\n",
            {"abs[] i0"}},
        Row{"rounds",
            "    y = x\n    for i in range(2):\n      y = torch.add(y, i)\n    return y\n",
            {R"(add[{"alpha":1},{"other":0}] i0)", R"(add[{"alpha":1},{"other":1}] n0)"}},
        Row{"unknown_rounds",
            "    y = x\n    for i in range(torch.size(x, 0)):\n      y = torch.neg(y)\n    return y\n",
            {"neg[] i0", R"x(loop["range(size(0))"] i0 n0)x"}},
        Row{"while_loop",
            "    y = x\n    while bool(torch.any(y)):\n      y = torch.neg(y)\n    return y\n",
            {"any[] i0", "neg[] i0", R"x(loop["bool()"] i0 n1)x"}},
        Row{"sizes", "    return torch.view(x, [torch.size(x, 0), -1])\n", {R"x(view[["size(0)",-1]] i0)x"}},
        Row{"results",
            "    a, b, = torch.max(x, 1)\n    return torch.add(a, b)\n",
            {"max[1] i0", "getitem[1] n0", R"(add[{"alpha":1}] n0 n1)"}},
        Row{"list",
            "    ys = [x]\n    _0 = torch.append(ys, torch.neg(x))\n    return torch.cat(ys, 1)\n",
            {"neg[] i0", R"(cat[{"dim":1}] i0 n0)"}},
        Row{"passed_on", "    return torch.neg(torch.detach(torch.contiguous(x)))\n", {"neg[] i0"}},
        Row{"to_a_device", "    return torch.neg(torch.to(x, torch.device(\"cpu\"), False, False))\n", {"neg[] i0"}},
        Row{"made",
            "    return torch.add(x, torch.zeros([2], dtype=6, device=torch.device(\"cpu\")))\n",
            {R"(zeros[[2],{"dtype":"float32"}])", R"(add[{"alpha":1}] i0 n0)"}},
        Row{"number", "    return torch.mul(x, 1.0000000000000001e-05)\n", {"mul[1e-05] i0"}},
        Row{"operators",
            "    return -x * 2 + x[0]\n",
            {"neg[] i0", "mul[2] n0", "getitem[0] i0", R"(add[{"alpha":1}] n1 n2)"}}),
    [](const auto& row) { return std::string(row.param.name); });

TEST(ScriptBlueprint, TellsModulesOptionsAndRoles) {
  const auto read = Archive("    return x\n").blueprint();
  ASSERT_TRUE(read);
  EXPECT_EQ(read->source, "torchscript");
  EXPECT_EQ(read->class_name, "Net");
  ASSERT_EQ(read->modules.size(), 2U);
  EXPECT_EQ(read->modules[0].options, (JsonMembers{{"k", "3"}}));
  EXPECT_TRUE(read->modules[0].is_custom);
  EXPECT_EQ(read->modules[1].path + " " + read->modules[1].type, "act ReLU");
  EXPECT_EQ(read->modules[1].options, (JsonMembers{{"inplace", "false"}}));
  EXPECT_EQ(read->tensors[0].role, tenon::Role::Parameter);
}

TEST(ScriptBlueprint, WhatMethodsAssignIsNoOption) {
  const auto read = Archive("    self.k = 4\n    return x\n").blueprint();
  ASSERT_TRUE(read);
  EXPECT_EQ(read->modules[0].options, JsonMembers{});
}

TEST(ScriptBlueprint, IsNothingForOtherFormats) {
  Archive archive("    return x\n");
  archive.core().format = Format::LibtorchArchive;
  EXPECT_FALSE(archive.blueprint());
  EXPECT_EQ(archive.warnings, Texts{});
}

struct Odd {
  const char* name;
  std::string body;
  const char* told;  ///< part of the warning
};
void PrintTo(const Odd& row, std::ostream* out) { *out << row.name; }

std::string repeated(const std::string& text, int times) {
  std::string all;
  for (int i = 0; i < times; ++i) all += text;
  return all;
}

std::string nested_loops(int depth) {
  std::string text;
  for (int i = 0; i < depth; ++i) text += "    " + repeated("  ", i) + "for i in range(64):\n";
  return text + "    " + repeated("  ", depth) + "y = torch.neg(x)\n";
}

class OddCode : public testing::TestWithParam<Odd> {};

TEST_P(OddCode, IsSaidAndNeverFatal) {
  Archive archive(GetParam().body);
  static_cast<void>(archive.blueprint());
  ASSERT_EQ(archive.warnings.size(), 1U);
  EXPECT_NE(archive.warnings[0].find(GetParam().told), std::string::npos) << archive.warnings[0];
}

INSTANTIATE_TEST_SUITE_P(
    Table, OddCode,
    testing::Values(Odd{"character", "    return x ? y\n", "no use for"}, Odd{"text", "    return \"x\n", "no end"},
                    Odd{"bracket", "    return torch.neg(x\n", "lacks"},
                    Odd{"block", "    if x:\n    return x\n", "breaks off"},
                    Odd{"indentation", "    y = x\n   return y\n", "indented"},
                    Odd{"brackets", "    return " + repeated("(", 9000) + "x" + repeated(")", 9000) + "\n",
                        "too deeply"},
                    Odd{"minuses", "    return " + repeated("- ", 9000) + "x\n", "too deeply"},
                    Odd{"sum", "    return " + repeated("1 + ", 90000) + "x\n", "too long"},
                    Odd{"chain", "    return x" + repeated(".y", 90000) + "\n", "too long"},
                    Odd{"blocks", nested_loops(150), "too deeply"}, Odd{"rounds", nested_loops(9), "too many"},
                    Odd{"itself", "    return (self).forward(x, )\n", "too deep"}),
    [](const auto& row) { return std::string(row.param.name); });

TEST(OddCode, ListsOfListsDoNotGrow) {
  std::string body = "    a = [x, x]\n" + repeated("    a = [a, a]\n", 200) + "    return torch.cat(a)\n";
  Archive archive(body);
  EXPECT_TRUE(archive.blueprint());
  EXPECT_EQ(archive.warnings, Texts{});
}

TEST(OddCode, BytesThatAreNoTextAreSaidAsText) {
  for (const char* body : {"    return torch.call_\xC3\x28(x)\n", "    return torch.call(x, \"\xFF\")\n"}) {
    Archive archive(body);
    std::string said;
    for (const std::string& text : archive.operations()) said += text + "\n";
    for (const std::string& text : archive.warnings) said += text + "\n";
    EXPECT_FALSE(said.empty());
    EXPECT_TRUE(base::is_utf8(said)) << base::to_valid_utf8(said);
  }
}

}  // namespace
}  // namespace tenon::model
