#include "formats/snapshot_tree.hpp"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace tenon::formats {
namespace {

/// Builds snapshots from the outside in; keys of digits are integers.
struct Builder {
  Snapshot snapshot;

  explicit Builder(ContainerKind kind = ContainerKind::Mapping, std::string type = "dict") {
    snapshot.containers.push_back({.path = {}, .kind = kind, .type = std::move(type), .parent = 0, .key = {}});
  }
  static bool is_number(const std::string& key) { return key.find_first_not_of("0123456789") == std::string::npos; }
  std::string name_in(std::uint32_t parent, const std::string& key) const {
    const std::string& path = snapshot.containers[parent].path;
    return path.empty() ? key : path + "." + key;
  }
  std::uint32_t container(std::uint32_t parent, const std::string& key, ContainerKind kind, std::string type) {
    snapshot.containers.push_back({.path = name_in(parent, key),
                                   .kind = kind,
                                   .type = std::move(type),
                                   .parent = parent,
                                   .key = key,
                                   .integer_key = is_number(key)});
    return static_cast<std::uint32_t>(snapshot.containers.size() - 1);
  }
  Builder& tensor(std::uint32_t parent, const std::string& key) {
    SnapshotTensor& tensor = snapshot.tensors.emplace_back();
    tensor.name = name_in(parent, key);
    tensor.key_begin = static_cast<std::uint32_t>(tensor.name.size() - key.size());
    tensor.container = parent;
    tensor.integer_key = is_number(key);
    return *this;
  }
  Builder& object(std::uint32_t parent, const std::string& key, Value value) {
    Object& object = snapshot.objects.emplace_back();
    object.name = name_in(parent, key);
    object.key_begin = static_cast<std::uint32_t>(object.name.size() - key.size());
    object.value = std::move(value);
    object.container = parent;
    object.integer_key = is_number(key);
    return *this;
  }
};

/// `{a:tensor,b:[tensor,None,12]}`: containers as Python shows them, tensors as `T`, objects as `O`.
std::string shown(const SnapshotTree& tree, std::size_t container = 0) {
  const bool is_dict = tree.form(container) == SnapshotTree::Form::Dict;
  std::string out = is_dict ? "{" : tree.form(container) == SnapshotTree::Form::Tuple ? "(" : "[";
  for (const Branch& branch : tree.branches(container)) {
    if (out.size() > 1) out += ",";
    if (is_dict) out += branch.integer_key ? branch.key + ":" : "'" + branch.key + "':";
    if (!is_dict) out += std::to_string(branch.position) + "=";
    switch (branch.kind) {
      case Branch::Kind::Container: out += shown(tree, branch.index); break;
      case Branch::Kind::Tensor: out += "T"; break;
      case Branch::Kind::Object: out += "O"; break;
    }
  }
  return out + (is_dict ? "}" : tree.form(container) == SnapshotTree::Form::Tuple ? ")" : "]");
}

using Names = std::vector<std::string>;

TEST(SnapshotTree, KeepsDictsListsTuplesAndTheOrderOfTensors) {
  Builder b;
  b.tensor(0, "first");
  const auto dict = b.container(0, "model", ContainerKind::Mapping, "collections.OrderedDict");
  const auto list = b.container(dict, "list", ContainerKind::Sequence, "list");
  const auto tuple = b.container(list, "1", ContainerKind::Sequence, "tuple");
  b.tensor(list, "0").tensor(tuple, "0").tensor(dict, "7").tensor(0, "last").object(0, "epoch", {std::int64_t{3}});
  const SnapshotTree tree(b.snapshot);
  EXPECT_EQ(shown(tree), "{'first':T,'model':{'list':[0=T,1=(0=T)],7:T},'last':T,'epoch':O}");
  EXPECT_EQ(tree.left_out(), Names{});
}

TEST(SnapshotTree, ATextKeyOfDigitsIsNotAnInteger) {
  Builder b;
  b.tensor(0, "7").tensor(0, "7");
  EXPECT_EQ(SnapshotTree(b.snapshot).names_that_stand_twice(), Names{"7"});
  b.snapshot.tensors[1].integer_key = false;
  const SnapshotTree tree(b.snapshot);
  EXPECT_EQ(tree.names_that_stand_twice(), Names{});
  EXPECT_EQ(shown(tree), "{7:T,'7':T}");
}

TEST(SnapshotTree, GapsInAListStayWhereAnObjectWasLeftOut) {
  Builder b;
  const auto list = b.container(0, "l", ContainerKind::Sequence, "list");
  b.object(list, "0", {Record{"app.Thing", {}, {}}}).tensor(list, "1");
  const SnapshotTree tree(b.snapshot);
  EXPECT_EQ(shown(tree), "{'l':[1=T]}");
  EXPECT_EQ(tree.left_out(), Names{"l.0 (app.Thing)"});
}

TEST(SnapshotTree, ALargePositionAloneMakesADict) {
  Builder b;
  const auto list = b.container(0, "l", ContainerKind::Sequence, "list");
  b.tensor(list, "4000000000");
  EXPECT_EQ(shown(SnapshotTree(b.snapshot)), "{'l':{4000000000:T}}");
}

TEST(SnapshotTree, TensorsOfModulesGoToTheDictAroundThem) {
  Builder b;
  const auto list = b.container(0, "nets", ContainerKind::Sequence, "list");
  const auto module = b.container(list, "0", ContainerKind::Module, "app.Net");
  const auto inner = b.container(module, "extra", ContainerKind::Mapping, "dict");
  b.tensor(module, "weight").tensor(inner, "x").tensor(0, "y").object(module, "training", {true});
  const SnapshotTree tree(b.snapshot);
  EXPECT_EQ(shown(tree), "{'nets.0.weight':T,'nets.0.extra.x':T,'y':T}");
  EXPECT_EQ(tree.left_out(), Names{"nets.0 (app.Net)"});
}

TEST(SnapshotTree, AModuleAtTheTopBecomesItsStateDict) {
  Builder b(ContainerKind::Module, "app.Net");
  const auto layer = b.container(0, "fc", ContainerKind::Module, "torch.nn.modules.linear.Linear");
  b.tensor(layer, "weight").tensor(layer, "bias");
  const SnapshotTree tree(b.snapshot);
  EXPECT_EQ(shown(tree), "{'fc.weight':T,'fc.bias':T}");
  EXPECT_EQ(tree.left_out(), Names{"the top object (app.Net)"});
}

TEST(SnapshotTree, StateDictMetadataIsNoEntry) {
  Builder b;
  b.tensor(0, "w").object(0, "_metadata", {Mapping{"collections.OrderedDict", {}}});
  const SnapshotTree tree(b.snapshot);
  EXPECT_EQ(shown(tree), "{'w':T}");
  EXPECT_EQ(tree.left_out(), Names{});
}

class NoPickle : public testing::TestWithParam<Value> {};
TEST_P(NoPickle, IsLeftOut) {
  Builder b;
  b.tensor(0, "w").object(0, "o", GetParam());
  const SnapshotTree tree(b.snapshot);
  EXPECT_EQ(shown(tree), "{'w':T}");
  EXPECT_EQ(tree.left_out().size(), 1U);
}
INSTANTIATE_TEST_SUITE_P(Table, NoPickle,
                         testing::Values(Value{Record{"os.system", {}, {}}}, Value{Elided{"a cycle"}},
                                         Value{std::string("\xff")}, Value{Sequence{"set", {{true}}}},
                                         Value{Sequence{"list", {{Record{"x.Y", {}, {}}}}}},
                                         Value{Mapping{"dict", {{{Sequence{"list", {}}}, {true}}}}}));

TEST(SnapshotTree, ABareTensorIsNoDict) {
  Builder b(ContainerKind::TensorParts, "torch.Tensor");
  b.snapshot.tensors.emplace_back();
  EXPECT_TRUE(SnapshotTree(b.snapshot).is_bare_tensor());
  EXPECT_EQ(SnapshotTree(b.snapshot).left_out(), Names{});
  b.object(0, "<state>", {true});
  EXPECT_TRUE(SnapshotTree(b.snapshot).is_bare_tensor());
  EXPECT_EQ(SnapshotTree(b.snapshot).left_out(), Names{"<state> (bool)"});
}

}  // namespace
}  // namespace tenon::formats
