#include <gtest/gtest.h>

#include <cstring>
#include <span>

#include <tenon/diagnose.hpp>
#include <tenon/error.hpp>
#include <tenon/plan.hpp>

#include "support/listings.hpp"

namespace tenon {
namespace {

using test::CheckpointMaker;
using test::listing_of;
using Names = std::vector<std::string>;

std::vector<float> floats(const SnapshotTensor& tensor) {
  const Tensor loaded = tensor.load();
  EXPECT_EQ(loaded.dtype, tensor.dtype);
  EXPECT_EQ(loaded.shape, tensor.shape);
  std::vector<std::byte> bytes(byte_size(loaded.shape, loaded.dtype));
  copy_dense(loaded, bytes);
  std::vector<float> values(bytes.size() / sizeof(float));
  std::memcpy(values.data(), bytes.data(), bytes.size());
  return values;
}

Names names(const Snapshot& snapshot) {
  Names result;
  for (const SnapshotTensor& tensor : snapshot.tensors) result.push_back(tensor.name);
  return result;
}

Listing saved() {
  return CheckpointMaker()
      .add({"sd", "module.a.weight", {2}, {1, 2}})
      .add({"sd", "module.fc.weight", {3}, {7}})
      .add({"optimizer", "exp_avg", {2}, {9}})
      .listing();
}

TEST(Apply, FollowsTheTargetsOrderAndFillsFromIt) {
  const Listing target =
      CheckpointMaker().add({"", "fc.weight", {2}, {5, 6}}).add({"", "a.weight", {2}, {0}}).listing();
  const Report report = diagnose(saved(), target);
  const ApplyResult result = apply(report.plan, saved(), target);
  EXPECT_EQ(names(result.snapshot), (Names{"fc.weight", "a.weight"}));
  EXPECT_EQ(floats(result.snapshot.tensors[0]), (std::vector<float>{5, 6}));
  EXPECT_EQ(floats(result.snapshot.tensors[1]), (std::vector<float>{1, 2}));
  EXPECT_EQ(floats(result.snapshot.tensors[1]), (std::vector<float>{1, 2})) << "loading twice gives equal bytes";
  EXPECT_EQ(result.filled_from_target, Names{"fc.weight"});
  EXPECT_EQ(result.dropped, (Names{"sd.module.fc.weight", "optimizer.exp_avg"}));
  EXPECT_TRUE(result.unfilled.empty());
}

TEST(Apply, SaysWhatNobodyCanFill) {
  const Listing target = listing_of({{"a.weight", {2}}, {"fc.weight", {2}}});
  const ApplyResult result = apply({{{Unwrap{"sd"}}, {StripPrefix{"module."}}, {KeepTarget{"fc.*"}}}}, saved(), target);
  EXPECT_EQ(names(result.snapshot), Names{"a.weight"});
  EXPECT_EQ(result.unfilled, Names{"fc.weight"});
}

TEST(Apply, NeverGivesATensorOfAnotherShape) {
  const ApplyResult result =
      apply({{{Unwrap{"sd"}}, {StripPrefix{"module."}}}}, saved(), listing_of({{"a.weight", {2}}, {"fc.weight", {2}}}));
  EXPECT_EQ(names(result.snapshot), Names{"a.weight"});
}

TEST(Apply, CastsOnlyWhereThePlanSaysSo) {
  const Listing checkpoint = CheckpointMaker().add({"", "w", {2}, {0.1, 2}, DType::Float64}).listing();
  const Listing target = listing_of({{"w", {2}}});
  EXPECT_EQ(apply({}, checkpoint, target).snapshot.tensors.at(0).dtype, DType::Float64);
  const ApplyResult cast_result = apply({{{Cast{"w", DType::Float32}, Applicability::Lossy}}}, checkpoint, target);
  EXPECT_EQ(floats(cast_result.snapshot.tensors.at(0)), (std::vector<float>{0.1F, 2}));
}

TEST(Apply, OutlivesItsListings) {
  ApplyResult result;
  {
    const Listing checkpoint = saved();
    result = apply({{{Unwrap{"sd"}}, {StripPrefix{"module."}}}}, checkpoint, listing_of({{"a.weight", {2}}}));
  }
  EXPECT_EQ(floats(result.snapshot.tensors.at(0)), (std::vector<float>{1, 2}));
}

TEST(Apply, RefusesPlansThatMeanNothingHere) {
  const Listing target = listing_of({{"a.weight", {2}}});
  EXPECT_THROW(apply({{{KeepTarget{"nowhere.*"}}}}, saved(), target), Error);
  EXPECT_THROW(apply({{{Drop{"nowhere.*"}}}}, saved(), target), Error);
  EXPECT_THROW(apply({{{Cast{"*", DType::QInt8}}}}, saved(), target), Error);
  EXPECT_THROW(apply({}, listing_of({{"a", {1}}}), target), Error) << "a blueprint has no values";
}

// --- operations on values: one row each; expected values of interpolations are torch 1.13's in float64 ---------------

struct ValueCase {
  const char* name;
  std::vector<Operation> operations;
  std::vector<test::Stored> stored;
  std::string key;
  Shape shape;
  std::vector<double> values;
};
class Values : public testing::TestWithParam<ValueCase> {};

TEST_P(Values, ComeOut) {
  const ValueCase& row = GetParam();
  CheckpointMaker maker;
  for (const test::Stored& stored : row.stored) maker.add(stored);
  Plan plan;
  for (const Operation& operation : row.operations) plan.ops.push_back({operation, Applicability::Lossy});
  const ApplyResult result = apply(plan, maker.listing(), listing_of({{row.key, row.shape}}));
  ASSERT_EQ(result.snapshot.tensors.size(), 1U);
  const Tensor loaded = result.snapshot.tensors[0].load();
  EXPECT_EQ(loaded.shape, row.shape);
  const Tensor wide = cast(loaded, DType::Float64);
  std::vector<double> values(row.values.size());
  ASSERT_EQ(byte_size(wide.shape, wide.dtype), values.size() * sizeof(double));
  copy_dense(wide, std::as_writable_bytes(std::span(values)));
  for (std::size_t i = 0; i < values.size(); ++i) EXPECT_NEAR(values[i], row.values[i], 1e-6) << i;
}

const test::Stored kGrid{"", "g", {2, 3}, {1, 2, 4, 3, -1, 0}, DType::Float64};
const std::vector<double> kBicubic = {0.7234581841362855, 1.5143992106119792, 3.169947306315104,   4.497007581922744,
                                      2.107666015625,     0.8757324218750001, 0.8757324218750002,  2.1076660156250004,
                                      3.4918738471137165, 0.2370656331380206, -1.4184824625651054, -0.281675550672744};

INSTANTIATE_TEST_SUITE_P(
    Apply, Values,
    testing::Values(
        ValueCase{"Transpose", {Transpose{"g", {1, 0}}}, {kGrid}, "g", {3, 2}, {1, 3, 2, -1, 4, 0}},
        ValueCase{"TransposeHalf",
                  {Transpose{"g", {1, 0}}},
                  {{"", "g", {2, 3}, {1, 2, 4, 3, -1, 0}, DType::BFloat16}},
                  "g",
                  {3, 2},
                  {1, 3, 2, -1, 4, 0}},
        ValueCase{"ReorderChannelsFirst",
                  {Reorder{"w", 1, {2, 3}, {1, 0}}},
                  {{"", "w", {1, 6}, {}}},
                  "w",
                  {1, 6},
                  {0, 3, 1, 4, 2, 5}},
        ValueCase{"RotaryRows",
                  {Reorder{"q", 0, {2, -1, 2}, {0, 2, 1}}},
                  {{"", "q", {8, 1}, {}}},
                  "q",
                  {8, 1},
                  {0, 2, 1, 3, 4, 6, 5, 7}},
        ValueCase{"SplitPlain", {Split{"w", {"q", "k", "v"}}}, {{"", "w", {6}, {}}}, "k", {2}, {2, 3}},
        ValueCase{
            "SplitInterleaved", {Split{"w", {"q", "k", "v"}, 0, {}, 2}}, {{"", "w", {12}, {}}}, "k", {4}, {2, 3, 8, 9}},
        ValueCase{"SplitGroupedQueries",
                  {Split{"w", {"q", "k", "v"}, 0, {8, 2, 2}, 2}},
                  {{"", "w", {12}, {}}},
                  "q",
                  {8},
                  {0, 1, 2, 3, 6, 7, 8, 9}},
        ValueCase{"FuseInterleaved",
                  {Fuse{{"a", "b"}, "c", 0, 2}},
                  {{"", "a", {2}, {1, 2}}, {"", "b", {4}, {3, 4, 5, 6}}},
                  "c",
                  {6},
                  {1, 3, 4, 2, 5, 6}},
        ValueCase{"FuseColumns",
                  {Fuse{{"a", "b"}, "c", 1}},
                  {{"", "a", {2, 1}, {1, 2}}, {"", "b", {2, 2}, {3, 4, 5, 6}}},
                  "c",
                  {2, 3},
                  {1, 3, 4, 2, 5, 6}},
        ValueCase{"Bicubic", {Resize{"g", {3, 4}}}, {kGrid}, "g", {3, 4}, kBicubic},
        ValueCase{"Bilinear",
                  {Resize{"g", {3, 4}, ResizeMode::Bilinear}},
                  {kGrid},
                  "g",
                  {3, 4},
                  {1, 1.625, 2.75, 4, 2, 1.0625, 1.0625, 2, 3, 0.5, -0.625, 0}},
        ValueCase{"Nearest",
                  {Resize{"g", {3, 4}, ResizeMode::Nearest}},
                  {kGrid},
                  "g",
                  {3, 4},
                  {1, 1, 2, 4, 1, 1, 2, 4, 3, 3, -1, 0}},
        ValueCase{"Linear",
                  {Resize{"g", {5}, ResizeMode::Linear}},
                  {{"", "g", {3}, {1, 2, 4}}},
                  "g",
                  {5},
                  {1, 1.4, 2, 3.2, 4}},
        ValueCase{"TokensBefore",
                  {Resize{"g", {1, 13, 1}, ResizeMode::Bicubic, 1, false, {2, 3}, {3, 4}}},
                  {{"", "g", {1, 7, 1}, {9, 1, 2, 4, 3, -1, 0}}},
                  "g",
                  {1, 13, 1},
                  {9, kBicubic[0], kBicubic[1], kBicubic[2], kBicubic[3], kBicubic[4], kBicubic[5], kBicubic[6],
                   kBicubic[7], kBicubic[8], kBicubic[9], kBicubic[10], kBicubic[11]}},
        ValueCase{"TokensBehind",
                  {Resize{"g", {4, 1}, ResizeMode::Nearest, 3, true}},
                  {{"", "g", {7, 1}, {1, 2, 3, 4, 7, 8, 9}}},
                  "g",
                  {4, 1},
                  {1, 7, 8, 9}},
        ValueCase{
            "MeanRows", {ResizeRows{"e", 4}}, {{"", "e", {2, 2}, {1, 2, 3, 6}}}, "e", {4, 2}, {1, 2, 3, 6, 2, 4, 2, 4}},
        ValueCase{"FewerRows", {ResizeRows{"e", 1}}, {{"", "e", {2, 2}, {1, 2, 3, 6}}}, "e", {1, 2}, {1, 2}},
        ValueCase{"LoraScaled",
                  {MergeLora{"(.*)A", "(.*)B", "$1w", "", "", 0.5}},
                  {{"", "w", {2, 2}, {1, 2, 3, 4}}, {"", "A", {1, 2}, {1, 10}}, {"", "B", {2, 1}, {2, 4}}},
                  "w",
                  {2, 2},
                  {2, 12, 5, 24}},
        ValueCase{
            "LoraAlpha",
            {MergeLora{"(.*)A", "(.*)B", "$1w", "", "$1alpha", {}, true}},
            {{"", "w", {2, 2}, {0}}, {"", "A", {1, 2}, {1, 10}}, {"", "B", {2, 1}, {2, 4}}, {"", "alpha", {}, {3}}},
            "w",
            {2, 2},
            {6, 12, 60, 120}},
        ValueCase{"LoraConvolution",
                  {MergeLora{"(.*)A", "(.*)B", "$1w", "", "", 1.0}},
                  {{"", "w", {2, 1, 1, 2}, {0}}, {"", "A", {1, 1, 1, 2}, {1, 10}}, {"", "B", {2, 1, 1, 1}, {2, 4}}},
                  "w",
                  {2, 1, 1, 2},
                  {2, 20, 4, 40}},
        ValueCase{"SumOfChannels",
                  {InflateChannels{"s", 1}},
                  {{"", "s", {1, 3, 2}, {1, 2, 3, 4, 5, 6}}},
                  "s",
                  {1, 1, 2},
                  {9, 12}},
        ValueCase{"MoreChannels",
                  {InflateChannels{"s", 4}},
                  {{"", "s", {1, 3, 1}, {1, 2, 3}}},
                  "s",
                  {1, 4, 1},
                  {0.75, 1.5, 2.25, 0.75}},
        ValueCase{"FoldBatchNorm",
                  {FoldBatchNorm{"c", "b", "", 0}},
                  {{"c", "weight", {2, 1}, {1, 2}},
                   {"c", "bias", {2}, {1, 1}},
                   {"b", "weight", {2}, {2, 3}},
                   {"b", "bias", {2}, {10, 20}},
                   {"b", "running_mean", {2}, {3, 5}},
                   {"b", "running_var", {2}, {4, 9}}},
                  "c.bias",
                  {2},
                  {8, 16}},
        ValueCase{"FoldWeightNorm",
                  {FoldWeightNorm{"g", "v", "w"}},
                  {{"", "g", {2, 1}, {10, 2}}, {"", "v", {2, 2}, {3, 4, 0, 1}}},
                  "w",
                  {2, 2},
                  {6, 8, 0, 2}},
        ValueCase{"UnfoldWeightNorm",
                  {UnfoldWeightNorm{"w", "g", "v", 1}},
                  {{"", "w", {2, 2}, {3, 0, 4, 1}}},
                  "g",
                  {1, 2},
                  {5, 1}},
        ValueCase{"CastTwice",
                  {Cast{"w", DType::Float16}, Cast{"w", DType::Float32}},
                  {{"", "w", {1}, {2049}}},
                  "w",
                  {1},
                  {2048}}),
    [](const auto& row) { return row.param.name; });

TEST(Apply, NewRowsAreTheTargetsWhereItHasThem) {
  const Listing checkpoint = CheckpointMaker().add({"", "e", {2, 1}, {1, 2}}).listing();
  const Listing target = CheckpointMaker().add({"", "e", {4, 1}, {5, 6, 7, 8}}).listing();
  const Plan plan{{{ResizeRows{"e", 4}, Applicability::Lossy}}};
  const ApplyResult result = apply(plan, checkpoint, target);
  EXPECT_EQ(floats(result.snapshot.tensors.at(0)), (std::vector<float>{1, 2, 7, 8}));
  ASSERT_EQ(result.notes.size(), 1U);
  EXPECT_NE(result.notes[0].find("taken from the target"), std::string::npos);
  EXPECT_NE(apply(plan, checkpoint, listing_of({{"e", {4, 1}}})).notes.at(0).find("mean"), std::string::npos);
}

TEST(Apply, AnAdapterIsAddedToTheTargetsWeight) {
  const Listing adapter =
      CheckpointMaker().add({"", "m.A", {1, 2}, {1, 10}}).add({"", "m.B", {2, 1}, {2, 4}}).listing();
  const Listing base = CheckpointMaker().add({"", "m.weight", {2, 2}, {1, 1, 1, 1}, DType::BFloat16}).listing();
  const Plan plan{{{MergeLora{R"((.*)\.A)", R"((.*)\.B)", "$1.weight", "", "", 1.0}, Applicability::Lossy}}};
  const ApplyResult result = apply(plan, adapter, base);
  ASSERT_EQ(result.snapshot.tensors.size(), 1U);
  EXPECT_EQ(result.snapshot.tensors[0].dtype, DType::BFloat16);
  const Tensor loaded = cast(result.snapshot.tensors[0].load(), DType::Float32);
  std::vector<float> values(4);
  copy_dense(loaded, std::as_writable_bytes(std::span(values)));
  EXPECT_EQ(values, (std::vector<float>{3, 21, 5, 41}));
  EXPECT_EQ(apply(plan, adapter, listing_of({{"m.weight", {2, 2}}})).unfilled, Names{"m.weight"});
}

TEST(Apply, TiedTensorsStayOneStorageThroughTheSameOperations) {
  const Listing checkpoint = CheckpointMaker().add({"", "e", {2, 3}, {}}).listing();
  const ApplyResult result =
      apply({{{Tie{"e", "h"}}, {Transpose{"?", {1, 0}}}}}, checkpoint, listing_of({{"e", {3, 2}}, {"h", {3, 2}}}));
  ASSERT_EQ(result.snapshot.tensors.size(), 2U);
  EXPECT_EQ(result.snapshot.tensors[0].storage, result.snapshot.tensors[1].storage);
  EXPECT_TRUE(result.snapshot.tensors[0].storage);
}

TEST(Apply, PartsOfOneTensorAreNoTie) {
  const Listing checkpoint = CheckpointMaker().add({"", "w", {4}, {}}).listing();
  const ApplyResult result = apply({{{Split{"w", {"a", "b"}}}}}, checkpoint, listing_of({{"a", {2}}, {"b", {2}}}));
  EXPECT_NE(result.snapshot.tensors.at(0).storage, result.snapshot.tensors.at(1).storage);
}

TEST(Apply, RefusesACastThatIsNotExact) {
  const Listing checkpoint = CheckpointMaker().add({"", "w", {2}, {0.1, 2}, DType::Float64}).listing();
  const Listing target = listing_of({{"w", {2}}});
  const ApplyResult result = apply({{{Cast{"w", DType::Float32}}}}, checkpoint, target);
  EXPECT_THROW(result.snapshot.tensors.at(0).load(), Error);
}

TEST(Apply, NoScaleIsAnErrorNotAGuess) {
  const Listing checkpoint =
      CheckpointMaker().add({"", "A", {1, 1}, {1}}).add({"", "B", {1, 1}, {1}}).add({"", "w", {1, 1}, {1}}).listing();
  const ApplyResult result =
      apply({{{MergeLora{"A", "B", "w"}, Applicability::Lossy}}}, checkpoint, listing_of({{"w", {1, 1}}}));
  EXPECT_THROW(result.snapshot.tensors.at(0).load(), Error);
}

TEST(Apply, SaysThatMomentsKeepTheirLayout) {
  const Listing checkpoint =
      CheckpointMaker().add({"", "w", {2, 3}, {}}).add({"optimizer", "w.exp_avg", {2, 3}, {}}).listing();
  const Listing target = listing_of({{"w", {3, 2}}, {"optimizer.w.exp_avg", {3, 2}}});
  EXPECT_EQ(apply({{{Transpose{"w", {1, 0}}}}}, checkpoint, target).notes.size(), 1U);
  const ApplyResult both = apply({{{Transpose{"*w*", {1, 0}}}}}, checkpoint, target);
  EXPECT_TRUE(both.notes.empty());
  EXPECT_EQ(both.snapshot.tensors.size(), 2U);
}

}  // namespace
}  // namespace tenon
