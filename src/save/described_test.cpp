// Types of our own: saved, loaded, checked without LibTorch.
#include <gtest/gtest.h>

#include <array>
#include <vector>

#include <tenon/describe.hpp>
#include <tenon/error.hpp>

#include "support/folder.hpp"

namespace elsewhere {

/// Not ours to change: described from outside. Columns lie one after another.
struct Foreign {
  std::vector<double> columns{1, 4, 2, 5, 3, 6};  // [[1, 2, 3], [4, 5, 6]]
};
inline void describe(tenon::Description& d, Foreign& f) {
  d.tensor("matrix", f.columns, {2, 3}, tenon::column_major(2));
}

}  // namespace elsewhere

namespace tenon {
namespace {

using elsewhere::Foreign;

struct Dense {
  std::vector<float> weight;
  std::array<double, 2> bias{};
  std::string activation = "relu";
  std::int64_t in = 3;
  explicit Dense(float start = 0) : weight(6) {
    for (std::size_t i = 0; i < weight.size(); ++i) weight[i] = start + static_cast<float>(i);
  }
  void describe(Description& d) {
    d.type("Dense").tensor("weight", weight, {2, in}).tensor("bias", bias, {2}).option("activation", activation);
  }
};

struct Net {
  Dense first{1}, second{10};
  std::vector<std::int64_t> steps{7};
  std::vector<std::int64_t> window{2, 2};
  void describe(Description& d) {
    d.type("Net").child("first", first).child("second", second).buffer("steps", steps, {}).option("window", window);
  }
};

class Described : public test::TemporaryFolder {};

TEST_F(Described, ComesBackBitForBit) {
  Net net;
  net.first.bias = {0.1, 0.2};
  for (const char* name : {"net.safetensors", "net.pt"}) {
    SCOPED_TRACE(name);
    save(describe(net), path(name));
    Net other;
    other.first = Dense(-5);
    other.steps = {0};
    EXPECT_EQ(load(describe(other), path(name)), 5U);
    EXPECT_EQ(other.first.weight, net.first.weight);
    EXPECT_EQ(other.first.bias, net.first.bias);
    EXPECT_EQ(other.steps, net.steps);
    const Report report = check(describe(other), path(name));
    EXPECT_EQ(report.fits, true);
    EXPECT_EQ(report.proved, Proved::Architecture);
  }
}

TEST_F(Described, ColumnsAreSavedAsRows) {
  Foreign foreign;
  save(describe(foreign), path("f.safetensors"));
  std::vector<double> rows(6);
  struct Rows {
    std::vector<double>& values;
    void describe(Description& d) { d.tensor("matrix", values, {2, 3}); }
  } as_rows{rows};
  load(describe(as_rows), path("f.safetensors"));
  EXPECT_EQ(rows, (std::vector<double>{1, 2, 3, 4, 5, 6}));
  Foreign back;
  back.columns.assign(6, 0);
  load(describe(back), path("f.safetensors"));
  EXPECT_EQ(back.columns, foreign.columns);
}

TEST_F(Described, AnotherOptionIsAnotherModel) {
  Net net, changed;
  save(describe(net), path("net.safetensors"));
  changed.second.activation = "tanh";
  changed.second.weight[0] = 99;
  EXPECT_THROW(load(describe(changed), path("net.safetensors")), Error);
  EXPECT_EQ(changed.second.weight[0], 99);
  const Report report = check(describe(changed), path("net.safetensors"));
  EXPECT_EQ(report.fits, false);
  ASSERT_EQ(report.causes.size(), 1U);
  EXPECT_EQ(report.causes[0].id, "parameter_free_change");
  ASSERT_EQ(report.architecture.size(), 1U);
  EXPECT_EQ(report.architecture[0].module, "second");
}

TEST_F(Described, AnotherShapeLeavesAllAsItWas) {
  Net net;
  save(describe(net), path("net.safetensors"));
  Dense alone(5);
  EXPECT_THROW(load(describe(alone), path("net.safetensors")), Error);
  EXPECT_EQ(alone.weight, Dense(5).weight);
}

TEST_F(Described, ALossyDTypeIsAsked) {
  struct Wide {
    std::vector<double> w{0.1};
    void describe(Description& d) { d.tensor("w", w, {1}); }
  } wide;
  struct Narrow {
    std::vector<float> w{0};
    void describe(Description& d) { d.tensor("w", w, {1}); }
  } narrow;
  save(describe(wide), path("w.safetensors"));
  EXPECT_THROW(load(describe(narrow), path("w.safetensors")), Error);
  EXPECT_EQ(narrow.w[0], 0);
  load(describe(narrow), path("w.safetensors"), {.lossy = true});
  EXPECT_EQ(narrow.w[0], 0.1F);
}

TEST(Description, OneMemoryIsOneTensor) {
  struct Tied {
    std::vector<float> w{1, 2};
    void describe(Description& d) { d.tensor("embed", w, {2}).tensor("head", w, {2}); }
  } tied;
  EXPECT_EQ(list(describe(tied)).tensors[1].tied_to, "embed");
}

TEST(Description, RefusesWhatCannotBe) {
  std::vector<float> w{1, 2, 3};
  EXPECT_THROW(Description().tensor("w", w, {2}), Error);
  EXPECT_THROW(Description().tensor("w", w, {2, 2}, {2, 1}), Error);
  EXPECT_THROW(Description().tensor("w", w, {3}, {1, 1}), Error);
  EXPECT_THROW(Description().tensor("a.w", w, {3}), Error);
  EXPECT_THROW(Description().tensor("", w, {3}), Error);
  EXPECT_THROW(Description().tensor("w", w, {3}).tensor("w", w, {3}), Error);
  EXPECT_THROW(Description().tensor("w", w, {-3}), Error);
}

}  // namespace
}  // namespace tenon
