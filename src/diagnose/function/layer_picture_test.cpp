// The picture of a change: the layer between its neighbours, what each gives, and what the next one gets.
#include <gtest/gtest.h>

#include <functional>
#include <ostream>
#include <string>

#include "diagnose/function/layer_picture.hpp"
#include "diagnose/function/layers.hpp"
#include "support/blueprints.hpp"

namespace tenon::diagnosis {
namespace {

using From = Operand::From;

/// "+ pool MaxPool2d(2, 2) [2, 4, 3, 3]", a line for each row; the saved side after a bar where it differs.
std::string text_of(const LayerPicture& picture) {
  const auto cell = [](const LayerCell& c) { return c.name + " " + c.layer + " " + c.shape; };
  std::string text;
  for (const LayerRow& row : picture.rows) {
    const char* marks = " +-~";
    text += std::string(1, marks[static_cast<std::size_t>(row.mark)]) + cell(row.checkpoint) + " | " + cell(row.model) +
            "\n";
  }
  return text;
}

FunctionDifference difference_of(const Blueprint& from, const Blueprint& to) {
  FunctionDifference difference{from, to, architecture_changes(from, to), {}, {}, {}, true, from.graph && to.graph};
  return difference;
}

/// conv - relu - pool - view - fc - add, as support/blueprints.hpp has it, of one custom class less.
Blueprint net() {
  Blueprint blueprint = test::small_blueprint();
  blueprint.tensors.resize(4);
  blueprint.modules = {{"", "Net", true, {}, ""},
                       {"conv",
                        "Conv2d",
                        false,
                        {{"in_channels", "1"},
                         {"kernel_size", "[3,3]"},
                         {"out_channels", "4"},
                         {"padding", "[0,0]"},
                         {"stride", "[1,1]"}},
                        ""},
                       {"pool", "MaxPool2d", false, {{"kernel_size", "2"}, {"padding", "0"}, {"stride", "2"}}, ""},
                       {"fc", "Linear", false, {{"in_features", "36"}, {"out_features", "3"}}, ""}};
  return blueprint;
}

/// The same without pooling, as it was saved: fc takes 4 * 6 * 6.
Blueprint net_without_pool() {
  Blueprint blueprint = net();
  blueprint.modules.erase(blueprint.modules.begin() + 2);
  blueprint.modules[2].options[0].second = "144";
  Graph& graph = *blueprint.graph;
  graph.nodes.erase(graph.nodes.begin() + 2);
  graph.nodes[2] = {"view", "", R"(["N",144])", Shape{2, 144}, {{From::Node, 1, {}}}};
  graph.nodes[3].operands[0] = {From::Node, 2, {}};
  graph.nodes[4].operands[0] = {From::Node, 3, {}};
  return blueprint;
}

TEST(LayerPicture, OfAnAddedLayerStandsBetweenItsNeighbours) {
  Blueprint to = net();
  to.modules[3].options[0].second = "144";  // the class kept it
  const auto difference = difference_of(net_without_pool(), to);
  ASSERT_EQ(difference.architecture.front().module, "pool");
  const LayerPicture picture = layer_picture(difference, difference.architecture.front());
  EXPECT_EQ(text_of(picture),
            " relu relu() [2, 4, 6, 6] | relu relu() [2, 4, 6, 6]\n"
            "+   | pool MaxPool2d(2, 2) [2, 4, 3, 3]\n"
            " fc Linear(144, 3) [2, 3] | fc Linear(144, 3) gets 36 features\n");
  ASSERT_TRUE(picture.misfit);
  EXPECT_EQ(picture.misfit->wanted, 144);
  EXPECT_EQ(picture.misfit->given, 36);
}

/// The model was not run: what its layers give is computed from what reached them in the saved run.
TEST(LayerPicture, WithoutARunShapesAreComputed) {
  Blueprint to = net();
  to.modules[3].options[0].second = "144";
  to.graph.reset();
  const auto difference = difference_of(net_without_pool(), to);
  const LayerPicture picture = layer_picture(difference, difference.architecture.front());
  EXPECT_EQ(text_of(picture),
            " conv Conv2d(1, 4, 3) [2, 4, 6, 6] | conv Conv2d(1, 4, 3) \n"
            "+   | pool MaxPool2d(2, 2) [2, 4, 3, 3]\n"
            " fc Linear(144, 3) [2, 3] | fc Linear(144, 3) gets 36 features\n");
}

TEST(LayerPicture, OfARemovedLayer) {
  Blueprint to = net_without_pool();
  to.modules[2].options[0].second = "36";
  const auto difference = difference_of(net(), to);
  ASSERT_EQ(difference.architecture.front().module, "pool");
  EXPECT_EQ(text_of(layer_picture(difference, difference.architecture.front())),
            " relu relu() [2, 4, 6, 6] | relu relu() [2, 4, 6, 6]\n"
            "-pool MaxPool2d(2, 2) [2, 4, 3, 3] |   \n"
            " fc Linear(36, 3) [2, 3] | fc Linear(36, 3) gets 144 features\n");
}

TEST(LayerPicture, OfAChangedOptionShowsTheOption) {
  Blueprint to = net();
  to.modules[1].options[3].second = "[1,1]";
  const auto difference = difference_of(net(), to);
  EXPECT_EQ(text_of(layer_picture(difference, difference.architecture.front())),
            "~conv Conv2d(padding=0) [2, 4, 6, 6] | conv Conv2d(padding=1) [2, 4, 6, 6]\n"
            " relu relu() [2, 4, 6, 6] | relu relu() [2, 4, 6, 6]\n");
}

TEST(LayerPicture, OfAnOperation) {
  Blueprint to = net();
  Graph& graph = *to.graph;
  graph.nodes.erase(graph.nodes.begin() + 1);
  for (std::size_t i = 1; i < graph.nodes.size(); ++i) --graph.nodes[i].operands[0].index;
  const auto difference = difference_of(net(), to);
  ASSERT_EQ(difference.architecture.front().what, "operation relu");
  EXPECT_EQ(text_of(layer_picture(difference, difference.architecture.front())),
            " conv Conv2d(1, 4, 3) [2, 4, 6, 6] | conv Conv2d(1, 4, 3) [2, 4, 6, 6]\n"
            "-relu relu() [2, 4, 6, 6] |   \n"
            " pool MaxPool2d(2, 2) [2, 4, 3, 3] | pool MaxPool2d(2, 2) [2, 4, 3, 3]\n");
}

/// First and last have one neighbour.
TEST(LayerPicture, AtTheEnd) {
  Blueprint to = net();
  to.graph->nodes.pop_back();
  const auto difference = difference_of(net(), to);
  EXPECT_EQ(text_of(layer_picture(difference, difference.architecture.front())),
            " fc Linear(36, 3) [2, 3] | fc Linear(36, 3) [2, 3]\n"
            "-add add(alpha=1) [2, 3] |   \n");
}

TEST(LayerPicture, OfAContainerIsEmpty) {
  Blueprint to = net();
  to.modules.front().options = {{"depth", "3"}};
  const auto difference = difference_of(net(), to);
  ASSERT_EQ(difference.architecture.size(), 1U);
  EXPECT_TRUE(layer_picture(difference, difference.architecture.front()).rows.empty());
}

struct Row {
  const char* name;
  ModuleSpec module;
  Shape input;
  std::optional<Shape> output;
};
void PrintTo(const Row& row, std::ostream* out) { *out << row.name; }

class ShapeAfter : public testing::TestWithParam<Row> {};

TEST_P(ShapeAfter, IsWhatPyTorchGives) {
  EXPECT_EQ(shape_after(GetParam().module, GetParam().input), GetParam().output);
}

ModuleSpec conv(const char* kernel, const char* stride, const char* padding, const char* dilation) {
  return {"c",
          "Conv2d",
          false,
          {{"dilation", dilation},
           {"in_channels", "3"},
           {"kernel_size", kernel},
           {"out_channels", "8"},
           {"padding", padding},
           {"stride", stride}},
          ""};
}

/// Worked out with torch 1.13.
INSTANTIATE_TEST_SUITE_P(
    Table, ShapeAfter,
    testing::Values(
        Row{"conv", conv("[3,3]", "[1,1]", "[0,0]", "[1,1]"), {2, 3, 9, 7}, Shape{2, 8, 7, 5}},
        Row{"stride_padding_dilation", conv("[3,5]", "[2,1]", "[1,2]", "[2,1]"), {2, 3, 9, 7}, Shape{2, 8, 4, 7}},
        Row{"other_channels", conv("[3,3]", "[1,1]", "[0,0]", "[1,1]"), {2, 4, 9, 7}, std::nullopt},
        Row{"window_too_large", conv("[3,3]", "[1,1]", "[0,0]", "[1,1]"), {2, 3, 2, 7}, std::nullopt},
        Row{"padding_same", conv("[3,3]", "[1,1]", R"("same")", "[1,1]"), {2, 3, 9, 9}, std::nullopt},
        Row{"pool_without_stride",
            {"p", "AvgPool1d", false, {{"kernel_size", "[3]"}, {"padding", "[0]"}, {"stride", "null"}}, ""},
            {2, 3, 10},
            Shape{2, 3, 3}},
        Row{"adaptive",
            {"p", "AdaptiveAvgPool2d", false, {{"output_size", "[1,2]"}}, ""},
            {2, 3, 9, 9},
            Shape{2, 3, 1, 2}},
        Row{"linear",
            {"l", "Linear", false, {{"in_features", "5"}, {"out_features", "2"}}, ""},
            {7, 4, 5},
            Shape{7, 4, 2}},
        Row{"flatten", {"f", "Flatten", false, {{"start_dim", "1"}, {"end_dim", "-1"}}, ""}, {2, 3, 4}, Shape{2, 12}},
        Row{"activation", {"a", "GELU", false, {}, ""}, {2, 3}, Shape{2, 3}},
        Row{"unknown", {"u", "MyLayer", true, {}, ""}, {2, 3}, std::nullopt}),
    [](const auto& row) { return row.param.name; });

TEST(ShortText, IsTheClassAndWhatItIsBuiltWith) {
  EXPECT_EQ(short_text(conv("[3,3]", "[1,1]", "[0,0]", "[1,1]")), "Conv2d(3, 8, 3)");
  EXPECT_EQ(short_text(conv("[3,5]", "[1,1]", "[0,0]", "[1,1]")), "Conv2d(3, 8, [3, 5])");
  EXPECT_EQ(short_text({"d", "Dropout", false, {{"inplace", "false"}, {"p", "0.5"}}, ""}), "Dropout(0.5)");
  EXPECT_EQ(short_text({"x", "MyLayer", true, {{"depth", "3"}}, ""}), "MyLayer()");
}

}  // namespace
}  // namespace tenon::diagnosis
