#include <gtest/gtest.h>

#include <cstring>

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

}  // namespace
}  // namespace tenon
