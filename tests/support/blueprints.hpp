// Blueprints for tests: a small model with everything that a blueprint can say.
#pragma once

#include <cmath>
#include <limits>
#include <string>

#include <tenon/blueprint.hpp>

namespace tenon::test {

inline Graph small_graph() {
  using From = Operand::From;
  Graph graph{"torch_function", 2, {}};
  graph.nodes = {{"conv2d",
                  "conv",
                  "[[1,1],[0,0],[1,1],1]",
                  Shape{2, 4, 6, 6},
                  {{From::Input, 0, {}}, {From::Tensor, 0, "conv.weight"}, {From::Tensor, 0, "conv.bias"}}},
                 {"relu", "", "[]", Shape{2, 4, 6, 6}, {{From::Node, 0, {}}}},
                 {"max_pool2d", "pool", "[[2,2],[2,2],[0,0]]", Shape{2, 4, 3, 3}, {{From::Node, 1, {}}}},
                 {"view", "", R"(["N",36])", Shape{2, 36}, {{From::Node, 2, {}}}},
                 {"linear",
                  "fc",
                  "[]",
                  Shape{2, 3},
                  {{From::Node, 3, {}}, {From::Tensor, 0, "fc.weight"}, {From::Tensor, 0, "fc.bias"}}},
                 {"add", "", R"([{"alpha":1}])", Shape{2, 3}, {{From::Node, 4, {}}, {From::Unknown, 0, {}}}}};
  return graph;
}

inline Probe small_probe() {
  const double nan = std::nan(""), infinity = std::numeric_limits<double>::infinity();
  Probe probe;
  probe.seed = 7;
  probe.inputs = {{"0", DType::Float32, {2, 1}, "sha256:aa", {0.5, -1}, 1, std::nullopt, {0.5, -1}}};
  probe.outputs = {{"0", DType::Float32, {2, 3}, "sha256:bb", {1, 2, 3, -4, 0.1, 6}, 6, 0.002, {}}};
  probe.modules = {{"conv", DType::Float32, {2, 2}, "", {1, 2, nan, -infinity}, 2, std::nullopt, {}},
                   {"fc", DType::Float32, {2, 3}, "", {1, 2, 3, -4, 0.1, 6}, 6, std::nullopt, {}}};
  probe.state = {{"conv.weight", 0.25, 14.5}, {"fc.weight", -1, infinity}};
  probe.findings = {"25 rows in, 36 rows out"};
  probe.accepted = "the head was trained anew";
  return probe;
}

inline Blueprint small_blueprint() {
  Blueprint blueprint;
  blueprint.class_name = "Net";
  blueprint.tensors = {{"conv.weight", DType::Float32, Shape{4, 1, 3, 3}, Role::Parameter, "", true},
                       {"conv.bias", DType::Float32, Shape{4}, Role::Parameter, "", false},
                       {"fc.weight", DType::Float32, Shape{3, 36}, Role::Parameter, "", true},
                       {"fc.bias", DType::Float32, Shape{3}, Role::Parameter, "", true},
                       {"out.weight", DType::Float32, Shape{3, 36}, Role::Parameter, "fc.weight", true},
                       {"steps", DType::Int64, Shape{}, Role::Buffer, "", std::nullopt}};
  blueprint.modules = {
      {"", "Net", true, {{"name", R"("grüße")"}}, ""},
      {"conv", "Conv2d", false, {{"dilation", "[1,1]"}, {"kernel_size", "[3,3]"}, {"stride", "[1,1]"}}, ""},
      {"pool", "MaxPool2d", false, {{"kernel_size", "2"}, {"stride", "2"}}, ""},
      {"act", "ReLU", false, {{"inplace", "true"}}, ""},
      {"again", "ReLU", false, {{"inplace", "true"}}, "act"},
      {"fc", "Linear", false, {{"in_features", "36"}, {"out_features", "3"}}, ""},
      {"out", "Linear", false, {{"in_features", "36"}, {"out_features", "3"}}, ""}};
  blueprint.graph = small_graph();
  blueprint.optimizer = {{{{"lr", "0.01"}, {"momentum", "0.9"}}, {"fc.weight", "fc.bias"}}};
  blueprint.environment = {{"cuda", "null"}, {"framework", R"("torch 1.13.1")"}, {"threads", "2"}};
  blueprint.training = {{"epoch", R"("12")"}, {"note", R"({"deep":[1,2,{"a":null}]})"}};
  blueprint.probe = small_probe();
  blueprint.unsaved = {{"layers.0.weight", "module in a list"}};
  blueprint.parents = {{"sha256:cc", "before.safetensors"}};
  blueprint.changes = {"module pool added: MaxPool2d"};
  return blueprint;
}

}  // namespace tenon::test
