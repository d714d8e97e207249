#include <tenon/tensor.hpp>

#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <cstring>
#include <limits>
#include <numeric>
#include <random>

#include <tenon/error.hpp>

namespace tenon {
namespace {

template <class T>
Tensor tensor_of(DType dtype, const std::vector<T>& values) {
  std::vector<std::byte> bytes(values.size() * sizeof(T));
  std::memcpy(bytes.data(), values.data(), bytes.size());
  return make_tensor(dtype, {static_cast<std::int64_t>(values.size())}, std::move(bytes));
}

template <class T>
std::vector<T> values_of(const TensorView& view) {
  std::vector<T> values(byte_size(view.shape, view.dtype) / sizeof(T));
  copy_dense(view, std::as_writable_bytes(std::span(values)));
  return values;
}

std::vector<std::int32_t> counting(int count) {
  std::vector<std::int32_t> numbers(static_cast<std::size_t>(count));
  std::iota(numbers.begin(), numbers.end(), 0);
  return numbers;
}

TEST(DTypes, NamesComeBack) {
  for (int i = 0; i <= static_cast<int>(DType::Unknown); ++i) {
    const auto dtype = static_cast<DType>(i);
    EXPECT_EQ(parse_dtype(dtype_name(dtype)), dtype);
  }
  EXPECT_EQ(parse_dtype("half"), DType::Float16);
  EXPECT_EQ(parse_dtype("Float32"), std::nullopt);
}

TEST(Sizes, AreCheckedAgainstOverflow) {
  EXPECT_EQ(byte_size({3, 4}, DType::Float32), 48U);
  EXPECT_EQ(byte_size({}, DType::Float64), 8U);
  EXPECT_EQ(byte_size({3}, DType::F4), 2U);
  EXPECT_EQ(byte_size({1, 0}, DType::Int8), 0U);
  EXPECT_EQ(byte_size({2, 256}, DType::Q4_K), 288U);
  EXPECT_EQ(byte_size({32}, DType::Q4_0), 18U);
  EXPECT_EQ(byte_size({33}, DType::Q4_0), 36U) << "whole blocks";
  EXPECT_EQ(byte_size({7}, DType::Unknown), 0U);
  EXPECT_THROW(byte_size({9'223'372'036'854'775'776}, DType::Q8_0), Error);
  EXPECT_THROW(byte_size({-1}, DType::Int8), Error);
  EXPECT_THROW(byte_size({1LL << 40, 1LL << 40}, DType::Int8), Error);
  EXPECT_THROW(byte_size({1LL << 61}, DType::Float64), Error);
}

TEST(Blocks, AreDenseAsTheyStandAndKnowTheirSize) {
  EXPECT_EQ(dtype_block(DType::Q6_K).elements, 256);
  EXPECT_EQ(dtype_block(DType::Q6_K).bytes, 210);
  EXPECT_EQ(dtype_block(DType::Float16).elements, 1);
  EXPECT_EQ(dtype_block(DType::Float16).bytes, 2);
  EXPECT_FALSE(can_cast(DType::Q6_K, DType::Float32));
  EXPECT_FALSE(can_dequantize(DType::Q2_K));
  Tensor blocks = make_tensor(DType::Q8_0, {1, 32}, std::vector<std::byte>(34, std::byte{1}));
  blocks.encoding.big_endian = true;
  EXPECT_TRUE(is_dense(blocks));
  std::size_t bytes = 0;
  for_each_block(blocks, [&](std::span<const std::byte> piece) { bytes += piece.size(); });
  EXPECT_EQ(bytes, 34U);
  blocks.dtype = DType::Q2_K;
  EXPECT_THROW(dequantized(blocks), Error);
}

// Of d = 0x3c00 = 1 (big-endian: 3c 00) and q = -1: every element is -1. All types against another arithmetic:
// tests/interop/dequantize_test.py.
TEST(Blocks, FollowTheByteOrderOfTheirFile) {
  std::vector<std::byte> bytes(34, std::byte{0xff});
  bytes[0] = std::byte{0x3c};
  bytes[1] = std::byte{0};
  Tensor blocks = make_tensor(DType::Q8_0, {32}, bytes);
  blocks.encoding.big_endian = true;
  EXPECT_EQ(values_of<float>(dequantized(blocks)), std::vector<float>(32, -1.0F));
}

struct ViewRow {
  const char* name;
  Shape shape;
  Stride stride;
  std::int64_t offset;
  std::vector<std::int32_t> expected;
};
void PrintTo(const ViewRow& row, std::ostream* os) { *os << row.name; }

class Views : public testing::TestWithParam<ViewRow> {};
TEST_P(Views, AreReadRowMajor) {
  const ViewRow& row = GetParam();
  Tensor base = tensor_of(DType::Int32, counting(24));
  base.shape = row.shape;
  base.stride = row.stride;
  base.offset_bytes = static_cast<std::uint64_t>(row.offset) * 4;
  EXPECT_EQ(values_of<std::int32_t>(base), row.expected);
}
INSTANTIATE_TEST_SUITE_P(
    Table, Views,
    testing::Values(ViewRow{"scalar", {}, {}, 7, {7}}, ViewRow{"transposed", {3, 2}, {1, 3}, 0, {0, 3, 1, 4, 2, 5}},
                    ViewRow{"stepped", {2, 2}, {12, 3}, 1, {1, 4, 13, 16}},
                    ViewRow{"expanded", {2, 3}, {0, 1}, 5, {5, 6, 7, 5, 6, 7}},
                    ViewRow{"overlapping", {3, 2}, {1, 1}, 0, {0, 1, 1, 2, 2, 3}},
                    ViewRow{"rows_of_a_slice", {2, 2, 2}, {8, 4, 1}, 2, {2, 3, 6, 7, 10, 11, 14, 15}},
                    ViewRow{"odd_stride_of_one", {1, 3}, {99, 1}, 0, {0, 1, 2}},
                    ViewRow{"empty", {2, 0}, {5, 5}, 0, {}}),
    [](const auto& row) { return row.param.name; });

TEST(Views, ManyBlocksEqualTheirSource) {  // larger than the gathering buffer, so that its edges are crossed
  std::vector<std::int32_t> numbers = counting(300 * 1000);
  Tensor tensor = tensor_of(DType::Int32, numbers);
  tensor.shape = {1000, 300};
  tensor.stride = {1, 1000};
  const auto transposed = values_of<std::int32_t>(tensor);
  for (std::size_t row = 0; row < 1000; ++row)
    for (std::size_t column = 0; column < 300; ++column)
      ASSERT_EQ(transposed[row * 300 + column], numbers[column * 1000 + row]);
}

TEST(Encodings, AreResolved) {
  Tensor big = tensor_of<std::uint32_t>(DType::Int32, {0x01020304, 0x05060708});
  big.encoding.big_endian = true;
  EXPECT_EQ(values_of<std::uint32_t>(big), (std::vector<std::uint32_t>{0x04030201, 0x08070605}));

  Tensor complex = tensor_of<float>(DType::Float32, {1, 2, 3, -4});
  complex.dtype = DType::Complex64;
  complex.shape = {2};
  complex.encoding.conjugate = true;
  EXPECT_EQ(values_of<float>(complex), (std::vector<float>{1, -2, 3, 4}));
  complex.encoding = {.big_endian = false, .conjugate = false, .negative = true};
  EXPECT_EQ(values_of<float>(complex), (std::vector<float>{-1, -2, -3, 4}));
}

TEST(Cast, HalfRoundsToNearestEvenAndOverflowsToInfinity) {
  // 2049 lies between 2048 and 2050, 65520 is the first float that rounds to infinity, 2^-25 ties to zero.
  const Tensor source =
      tensor_of<float>(DType::Float32, {1.0F, 2049.0F, 2051.0F, 65519.0F, 65520.0F, std::ldexp(1.0F, -25),
                                        std::ldexp(1.5F, -25), -0.0F, std::ldexp(1.0F, -24)});
  const std::vector<std::uint16_t> expected{0x3C00, 0x6800, 0x6802, 0x7BFF, 0x7C00, 0x0000, 0x0001, 0x8000, 0x0001};
  EXPECT_EQ(values_of<std::uint16_t>(cast(source, DType::Float16)), expected);
}

TEST(Cast, BFloat16RoundsToNearestEven) {
  const Tensor source = tensor_of<float>(
      DType::Float32, {1.0F, std::bit_cast<float>(0x3F808000U), std::bit_cast<float>(0x3F818000U), 3.4e38F});
  EXPECT_EQ(values_of<std::uint16_t>(cast(source, DType::BFloat16)),
            (std::vector<std::uint16_t>{0x3F80, 0x3F80, 0x3F82, 0x7F80}));
}

struct SmallRow {
  const char* name;
  DType dtype;
  int values;  ///< bit patterns that are numbers, not NaN
  double most;
};
void PrintTo(const SmallRow& row, std::ostream* os) { *os << row.name; }

class SmallFloats : public testing::TestWithParam<SmallRow> {};
TEST_P(SmallFloats, EveryBitPatternComesBackThroughFloat32) {
  const SmallRow& row = GetParam();
  const auto width = static_cast<std::size_t>(dtype_bytes(row.dtype));
  const int patterns = 1 << (8 * width);
  std::vector<std::byte> bytes(static_cast<std::size_t>(patterns) * width);
  for (int i = 0; i < patterns; ++i) std::memcpy(bytes.data() + static_cast<std::size_t>(i) * width, &i, width);
  const Tensor all = make_tensor(row.dtype, {patterns}, bytes);
  const Tensor wide = cast(all, DType::Float32);
  const auto floats = values_of<float>(wide);
  const Tensor back = cast(wide, row.dtype);
  int numbers = 0;
  double most = 0;
  for (std::size_t i = 0; i < floats.size(); ++i) {
    if (std::isnan(floats[i])) continue;
    ++numbers;
    if (!std::isinf(floats[i])) most = std::max(most, static_cast<double>(floats[i]));
    EXPECT_EQ(std::memcmp(back.storage.data() + i * width, bytes.data() + i * width, width), 0) << "pattern " << i;
  }
  EXPECT_EQ(numbers, row.values);
  EXPECT_EQ(most, row.most);
}
INSTANTIATE_TEST_SUITE_P(Table, SmallFloats,
                         testing::Values(SmallRow{"float16", DType::Float16, 65536 - 2046, 65504},
                                         SmallRow{"bfloat16", DType::BFloat16, 65536 - 254, 3.3895313892515355e38},
                                         SmallRow{"e4m3fn", DType::Float8E4M3FN, 254, 448},
                                         SmallRow{"e5m2", DType::Float8E5M2, 250, 57344},
                                         SmallRow{"e4m3fnuz", DType::Float8E4M3FNUZ, 255, 240},
                                         SmallRow{"e5m2fnuz", DType::Float8E5M2FNUZ, 255, 57344}),
                         [](const auto& row) { return row.param.name; });

TEST(Cast, WideIntegersKeepEveryBit) {
  constexpr auto kMost = std::numeric_limits<std::int64_t>::max();
  const Tensor source =
      tensor_of<std::int64_t>(DType::Int64, {kMost, kMost - 1, std::numeric_limits<std::int64_t>::min(), -1});
  EXPECT_EQ(values_of<std::int64_t>(cast(source, DType::Int64)), values_of<std::int64_t>(source));
  EXPECT_EQ(cast_loss(source, DType::Float64).changed, 2U);
}

TEST(CastLoss, NothingIsLostUpwards) {
  const CastLoss loss =
      cast_loss(tensor_of<float>(DType::Float32, {1.1F, -2.5F, 1e-45F, INFINITY, NAN}), DType::Float64);
  EXPECT_EQ(loss.elements, 5U);
  EXPECT_EQ(loss.changed, 0U);
}

TEST(CastLoss, RoundingOverflowAndUnderflowAreCounted) {
  const CastLoss loss = cast_loss(tensor_of<double>(DType::Float64, {1.0, 0.1, 1e300, 1e-300, NAN}), DType::Float32);
  EXPECT_EQ(loss.elements, 5U);
  EXPECT_EQ(loss.changed, 3U);
  EXPECT_EQ(loss.overflow, 1U);
  EXPECT_EQ(loss.underflow, 1U);
  EXPECT_EQ(loss.nan, 0U);
  EXPECT_EQ(loss.max_abs_error, std::fabs(0.1 - static_cast<double>(0.1F)));
  EXPECT_EQ(loss.max_rel_error, 1.0);  // the value that became zero
}

TEST(CastLoss, IntegersSayWhatDoesNotFit) {
  const CastLoss loss = cast_loss(tensor_of<float>(DType::Float32, {1.0F, 1.5F, 300.0F, -1.0F, NAN}), DType::UInt8);
  EXPECT_EQ(loss.changed, 4U);
  EXPECT_EQ(loss.overflow, 2U);
  EXPECT_EQ(loss.nan, 1U);
}

TEST(Cast, QuantisedTypesAreRefused) {
  EXPECT_FALSE(can_cast(DType::QInt8, DType::Float32));
  EXPECT_THROW(cast(make_tensor(DType::QInt8, {1}, std::vector<std::byte>(1)), DType::Float32), Error);
}

}  // namespace
}  // namespace tenon
