#include <cmath>
#include <limits>

#include <gtest/gtest.h>

#include <tenon/verify.hpp>

#include "support/memory_checkpoint.hpp"
#include "verify/finite.hpp"
#include "verify/slices.hpp"
#include "verify/statistics.hpp"

namespace tenon {
namespace {

using test::MemoryCheckpoint;
constexpr double kNan = std::numeric_limits<double>::quiet_NaN();
constexpr double kInfinity = std::numeric_limits<double>::infinity();

struct PairCase {
  const char* name;
  std::vector<double> a, b;
  std::uint64_t changed;
  double max_abs, rel_l2;
};

void expect_same(double found, double wanted) {
  EXPECT_EQ(std::isnan(found), std::isnan(wanted));
  if (!std::isnan(wanted)) {
    EXPECT_DOUBLE_EQ(found, wanted);
  }
}

class DiffOfPairs : public testing::TestWithParam<PairCase> {};

TEST_P(DiffOfPairs, MeasuresTheDistance) {
  const PairCase& row = GetParam();
  const Shape shape{static_cast<std::int64_t>(row.a.size())};
  const Checkpoint a = MemoryCheckpoint().add("w", DType::Float64, shape, row.a).checkpoint();
  const Checkpoint b = MemoryCheckpoint().add("w", DType::Float64, shape, row.b).checkpoint();
  const DiffReport report = diff(a, b);
  ASSERT_EQ(report.changed.size(), 1U);
  const TensorChange& change = report.changed[0];
  EXPECT_EQ(change.changed_elements, row.changed);
  expect_same(change.max_abs.value(), row.max_abs);
  expect_same(change.rel_l2.value(), row.rel_l2);
  EXPECT_FALSE(report.same);
}

INSTANTIATE_TEST_SUITE_P(Table, DiffOfPairs,
                         testing::Values(PairCase{"one_value", {3, 4}, {3, 5}, 1, 1, 0.2},
                                         PairCase{"zero_reference", {0, 0}, {0, 2}, 1, 2, kInfinity},
                                         PairCase{"nan_on_one_side", {1, 2}, {1, kNan}, 1, kNan, kNan},
                                         PairCase{"nan_on_both_sides", {kNan, 3}, {kNan, 4}, 1, 1, kNan},
                                         PairCase{"sign_of_zero", {0.0, 1}, {-0.0, 1}, 1, 0, 0},
                                         PairCase{"infinity", {1, 1}, {1, kInfinity}, 1, kInfinity, kInfinity}),
                         [](const auto& row) { return row.param.name; });

TEST(Diff, TellsHowFarItIs) {
  const Checkpoint a = MemoryCheckpoint()
                           .add<double>("v", DType::Float64, {2}, {1, 2})
                           .add<double>("w", DType::Float64, {1}, {3})
                           .checkpoint();
  std::uint64_t last = 0;
  diff(a, a, DiffNames::Equal, [&](std::uint64_t done, std::uint64_t all) {
    EXPECT_EQ(all, 24U);
    last = done;
  });
  EXPECT_EQ(last, 24U);
}

TEST(Diff, FollowsOrderInARowThatWasNumberedAnew) {
  const auto row = [](const char* second, const char* third) {
    return MemoryCheckpoint()
        .add("0.weight", DType::Float64, {2}, std::vector<double>{1, 2})
        .add(second, DType::Float64, {2}, std::vector<double>{3, 4})
        .add(third, DType::Float64, {2}, std::vector<double>{5, 6})
        .checkpoint();
  };
  const Checkpoint a = row("2.weight", "4.weight"), b = row("4.weight", "8.weight");
  EXPECT_FALSE(diff(a, b).same);
  const DiffReport report = diff(a, b, DiffNames::Matched);
  EXPECT_TRUE(report.same);
  EXPECT_EQ(report.identical, 3U);
}

TEST(Diff, FollowsRenamesWhenAsked) {
  const auto checkpoint = [](const char* query, const char* norm, double last) {
    return MemoryCheckpoint()
        .add(query, DType::Float64, {2, 3}, std::vector<double>{1, 2, 3, 4, 5, last})
        .add(norm, DType::Float64, {2}, std::vector<double>{1, 1})
        .checkpoint();
  };
  const Checkpoint a = checkpoint("layers.0.attention.wq.weight", "layers.0.attention_norm.weight", 6);
  const Checkpoint b = checkpoint("h.0.attn.q_proj.weight", "h.0.input_layernorm.weight", 7);
  EXPECT_EQ(diff(a, b).only_a.size(), 2U);
  const DiffReport report = diff(a, b, DiffNames::Matched);
  EXPECT_TRUE(report.only_a.empty() && report.only_b.empty());
  ASSERT_EQ(report.changed.size(), 1U);
  EXPECT_EQ(report.changed[0].key, "layers.0.attention.wq.weight");
  EXPECT_EQ(report.changed[0].changed_elements, 1U);
  EXPECT_EQ(report.identical, 1U);
  EXPECT_EQ(report.renamed.size(), 2U);
}

TEST(Diff, LayoutDoesNotCount) {
  // [[1, 2, 3], [4, 5, 6]], once row-major and once column-major.
  const std::vector<float> columns{1, 4, 2, 5, 3, 6};
  std::vector<std::byte> bytes(sizeof(float) * columns.size());
  std::memcpy(bytes.data(), columns.data(), bytes.size());
  const Checkpoint a =
      MemoryCheckpoint().add("w", DType::Float32, {2, 3}, std::vector<float>{1, 2, 3, 4, 5, 6}).checkpoint();
  const Checkpoint b = MemoryCheckpoint().add_view("w", DType::Float32, {2, 3}, {1, 2}, bytes).checkpoint();
  const DiffReport report = diff(a, b);
  EXPECT_TRUE(report.same);
  EXPECT_EQ(report.identical, 1U);
}

TEST(Diff, EqualValuesOfAnotherDtypeAreAChangeWithoutDistance) {
  const Checkpoint a = MemoryCheckpoint().add("w", DType::Float64, {2}, std::vector<double>{1, 2}).checkpoint();
  const Checkpoint b = MemoryCheckpoint().add("w", DType::Float32, {2}, std::vector<float>{1, 2}).checkpoint();
  const DiffReport report = diff(a, b);
  ASSERT_EQ(report.changed.size(), 1U);
  EXPECT_EQ(report.changed[0].changed_elements, 0U);
  EXPECT_EQ(report.changed[0].max_abs, 0.0);
}

TEST(Diff, ShapesAndSidesAreTold) {
  const Checkpoint a = MemoryCheckpoint()
                           .add("w", DType::Float32, {2}, std::vector<float>{1, 2})
                           .add("gone", DType::Float32, {1}, std::vector<float>{1})
                           .add_meta("m", DType::Float32, {4})
                           .checkpoint();
  const Checkpoint b = MemoryCheckpoint()
                           .add("w", DType::Float32, {1, 2}, std::vector<float>{1, 2})
                           .add("new", DType::Float32, {1}, std::vector<float>{1})
                           .add_meta("m", DType::Float32, {4})
                           .checkpoint();
  const DiffReport report = diff(a, b);
  EXPECT_EQ(report.only_a, std::vector<std::string>{"gone"});
  EXPECT_EQ(report.only_b, std::vector<std::string>{"new"});
  EXPECT_EQ(report.identical, 1U) << "two meta tensors of one shape and type";
  ASSERT_EQ(report.changed.size(), 1U);
  EXPECT_EQ(report.changed[0].shape_b, (Shape{1, 2}));
  EXPECT_FALSE(report.changed[0].max_abs.has_value());
}

struct SliceCase {
  const char* name;
  Shape shape;
};
class Slices : public testing::TestWithParam<SliceCase> {};

/// The slices of a transposed and a dense tensor, put together, are the two tensors, whatever the shape.
TEST_P(Slices, CoverEveryElementOnceAndStaySmall) {
  Shape shape = GetParam().shape;
  const auto count = static_cast<std::size_t>(element_count(shape));
  std::vector<std::byte> bytes(count * 2);
  for (std::size_t i = 0; i < bytes.size(); ++i) bytes[i] = static_cast<std::byte>(i * 2654435761U >> 13U);
  const Tensor dense = make_tensor(DType::Float16, shape, bytes);
  TensorView transposed = dense;  // strides of the reversed shape: the axes stand in the other order in memory
  Stride stride(shape.size(), 1);
  for (std::size_t axis = 1; axis < shape.size(); ++axis) stride[axis] = stride[axis - 1] * shape[axis - 1];
  transposed.stride = stride;
  std::vector<std::byte> expected(bytes.size());
  copy_dense(transposed, expected);

  std::vector<std::byte> seen_dense, seen_transposed;
  std::size_t largest = 0;
  verification::for_each_slice(dense, transposed, [&](std::span<const std::byte> a, std::span<const std::byte> b) {
    seen_dense.insert(seen_dense.end(), a.begin(), a.end());
    seen_transposed.insert(seen_transposed.end(), b.begin(), b.end());
    largest = std::max(largest, b.size());
  });
  EXPECT_TRUE(seen_dense == bytes);
  EXPECT_TRUE(seen_transposed == expected);
  EXPECT_LE(largest, std::size_t{1} << 20U);
}

INSTANTIATE_TEST_SUITE_P(Table, Slices,
                         testing::Values(SliceCase{"scalar", {}}, SliceCase{"empty", {0, 3}},
                                         SliceCase{"vector", {300'001}}, SliceCase{"matrix", {1000, 333}},
                                         SliceCase{"wide", {3, 400'000}}, SliceCase{"cube", {5, 700, 200}},
                                         SliceCase{"ones", {1, 1, 200'000, 1}}),
                         [](const auto& row) { return row.param.name; });

struct FiniteCase {
  const char* name;
  DType dtype;
  std::vector<std::uint8_t> bytes;
  std::uint64_t nan, infinite;
};
class NonFinite : public testing::TestWithParam<FiniteCase> {};

TEST_P(NonFinite, IsCountedByBits) {
  const FiniteCase& row = GetParam();
  std::vector<std::byte> bytes;
  for (const std::uint8_t byte : row.bytes) bytes.push_back(std::byte{byte});
  const auto count = static_cast<std::int64_t>(bytes.size()) / dtype_bytes(row.dtype);
  const auto found = verification::count_non_finite(make_tensor(row.dtype, {count}, bytes));
  EXPECT_EQ(found.nan, row.nan);
  EXPECT_EQ(found.infinite, row.infinite);
}

INSTANTIATE_TEST_SUITE_P(
    Table, NonFinite,
    testing::Values(
        FiniteCase{"float32", DType::Float32, {0, 0, 0x80, 0x7f, 1, 0, 0x80, 0xff, 0xff, 0xff, 0x7f, 0x7f}, 1, 1},
        FiniteCase{"float16", DType::Float16, {0, 0x7c, 0, 0xfc, 1, 0x7c, 0xff, 0x7b}, 1, 2},
        FiniteCase{"bfloat16", DType::BFloat16, {0x80, 0x7f, 0xc0, 0x7f, 0x7f, 0x7f}, 1, 1},
        FiniteCase{"e4m3fn_has_no_infinity", DType::Float8E4M3FN, {0x7f, 0xff, 0x7e, 0x78}, 2, 0},
        FiniteCase{"e5m2", DType::Float8E5M2, {0x7c, 0xfc, 0x7d, 0x7b}, 1, 2},
        FiniteCase{"fnuz_nan_is_minus_zero", DType::Float8E4M3FNUZ, {0x80, 0x00, 0x7f, 0xff}, 1, 0},
        FiniteCase{"complex_by_halves", DType::Complex64, {0, 0, 0xc0, 0x7f, 0, 0, 0x80, 0x7f}, 1, 1},
        FiniteCase{"integers_have_none", DType::Int32, {0xff, 0xff, 0xff, 0x7f}, 0, 0}),
    [](const auto& row) { return row.param.name; });

TEST(Statistics, LeavesOutWhatIsNotFinite) {
  const std::vector<double> values{1, 2, 3, 0, kNan, kInfinity};
  std::vector<std::byte> bytes(values.size() * sizeof(double));
  std::memcpy(bytes.data(), values.data(), bytes.size());
  const auto found = verification::statistics(make_tensor(DType::Float64, {6}, bytes));
  ASSERT_TRUE(found.has_value());
  EXPECT_EQ(found->min, 0);
  EXPECT_EQ(found->max, 3);
  EXPECT_DOUBLE_EQ(found->mean.value(), 1.5);
  EXPECT_DOUBLE_EQ(found->deviation.value(), std::sqrt(1.25));
  EXPECT_EQ(found->zeros, 1U);
  EXPECT_EQ(found->nan, 1U);
  EXPECT_EQ(found->infinite, 1U);
}

TEST(Sha256, IsOfTheDenseBytes) {
  // echo -n abc | sha256sum
  const Tensor dense = make_tensor(DType::UInt8, {3}, {std::byte{'a'}, std::byte{'b'}, std::byte{'c'}});
  const char* const kExpected = "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
  EXPECT_EQ(sha256(dense), kExpected);
  Tensor spread = make_tensor(DType::UInt8, {5}, {std::byte{'a'}, {}, std::byte{'b'}, {}, std::byte{'c'}});
  spread.shape = {3};
  spread.stride = {2};
  EXPECT_EQ(sha256(spread), kExpected);
}

}  // namespace
}  // namespace tenon
