// What adapt and convert say of casts and layouts before they write.
#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include <tenon/error.hpp>
#include <tenon/precision.hpp>

#include "support/listings.hpp"
#include "support/memory_checkpoint.hpp"

namespace tenon {
namespace {

using test::CheckpointMaker;
using test::MemoryCheckpoint;

Checkpoint numbers() {
  const double nan = std::numeric_limits<double>::quiet_NaN();
  return MemoryCheckpoint()
      .add("plain", DType::Float64, {2}, std::vector<double>{0.5, -2})
      .add("rounded", DType::Float64, {2}, std::vector<double>{0.1, 0.25})
      .add("hard", DType::Float64, {4}, std::vector<double>{1e30, 1e-30, nan, 1})
      .add("steps", DType::Int64, {1}, std::vector<std::int64_t>{7})
      .checkpoint();
}

TEST(CastFloating, CountsWhatIsLostBeforeItHappens) {
  Snapshot tensors = snapshot(numbers());
  const auto changes = cast_floating(tensors, DType::Float16);
  ASSERT_EQ(changes.size(), 3U);  // the integers stay
  EXPECT_EQ(changes[0].loss->changed, 0U);
  EXPECT_EQ(changes[1].loss->changed, 1U);
  EXPECT_NEAR(changes[1].loss->max_abs_error, 2.44e-5, 1e-7);
  const CastLoss& hard = *changes[2].loss;
  EXPECT_EQ(hard.elements, 4U);
  EXPECT_EQ(hard.changed, 2U);
  EXPECT_EQ(hard.overflow, 1U);
  EXPECT_EQ(hard.underflow, 1U);
  EXPECT_EQ(hard.nan, 0U);  // float16 has NaN
  EXPECT_TRUE(loses_values(changes));
}

TEST(CastFloating, CastsWhenTheTensorIsAskedFor) {
  Snapshot tensors = snapshot(numbers());
  cast_floating(tensors, DType::Float32);
  EXPECT_EQ(tensors.tensors[0].dtype, DType::Float32);
  EXPECT_EQ(tensors.tensors[0].load().dtype, DType::Float32);
  EXPECT_EQ(tensors.tensors[3].load().dtype, DType::Int64);
}

TEST(CastFloating, OfWhatSurvivesLosesNothing) {
  Snapshot tensors = snapshot(MemoryCheckpoint().add("w", DType::Float32, {1}, std::vector<float>{0.1F}).checkpoint());
  EXPECT_FALSE(loses_values(cast_floating(tensors, DType::Float64)));
  EXPECT_TRUE(cast_floating(tensors, DType::Float64).empty());  // it is that already
}

TEST(CastFloating, RenamesTheDtypesInTheBlueprint) {
  Snapshot tensors = snapshot(numbers());
  Blueprint blueprint;
  blueprint.tensors = {{"plain", DType::Float64, Shape{2}, Role::Parameter, ""}};
  tensors.blueprint_json = to_json(blueprint);
  cast_floating(tensors, DType::Float32);
  EXPECT_EQ(parse_blueprint(tensors.blueprint_json, "here").tensors[0].dtype, DType::Float32);
}

TEST(CastFloating, WantsAFloatingType) {
  Snapshot tensors = snapshot(numbers());
  EXPECT_THROW(cast_floating(tensors, DType::Int8), Error);
}

TEST(CastLosses, AreThoseOfThePlansCasts) {
  const Listing saved = CheckpointMaker()
                            .add({"", "module.a", {2}, {0.1, 0.5}, DType::Float64})
                            .add({"", "module.b", {2}, {0.1, 0.5}, DType::Float64})
                            .listing();
  const Plan plan{{{StripPrefix{"module."}}, {Cast{"a", DType::Float32}, Applicability::Lossy}}};
  const auto changes = cast_losses(plan, saved, {});
  ASSERT_EQ(changes.size(), 1U);
  EXPECT_EQ(changes[0].key, "a");
  EXPECT_EQ(changes[0].loss->changed, 1U);
  EXPECT_TRUE(cast_losses(Plan{}, saved, {}).empty());
}

TEST(LayoutChanges, NameWhatIsWrittenRowMajor) {
  const Checkpoint file = MemoryCheckpoint()
                              .add("dense", DType::Float32, {2, 2}, std::vector<float>{1, 2, 3, 4})
                              .add_view("turned", DType::Float32, {2, 2}, {1, 2}, std::vector<std::byte>(16))
                              .checkpoint();
  const auto changes = layout_changes(snapshot(file), file, Format::Safetensors);
  ASSERT_EQ(changes.size(), 1U);
  EXPECT_EQ(changes[0].key, "turned");
  EXPECT_EQ(changes[0].from, (Stride{1, 2}));
  EXPECT_EQ(changes[0].to, (Stride{2, 1}));
}

}  // namespace
}  // namespace tenon
