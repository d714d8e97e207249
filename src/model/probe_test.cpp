// tenon's generator and the tolerance of a probe, against numbers worked out from the document.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <string>
#include <utility>
#include <vector>

#include <tenon/blueprint.hpp>
#include <tenon/probe.hpp>

namespace tenon {
namespace {

/// splitmix64, worked out with the formula in docs/formats/blueprint.md by a program of whole numbers; those of 0 and
/// 1234567 are also the first outputs that Vigna's own splitmix64.c gives for these seeds.
///
///   x                      splitmix64(x)        >> 56   / 64 - 2    (>> 33) % 1000
///   0                      0xe220a8397b1dcdaf   226     1.53125     516
///   1                      0x910a2dec89025cc1   145     0.265625    718
///   2                      0x975835de1c9756ce   151     0.359375    287
///   3                      0x1d0b14e4db018fed   29      -1.546875   754
///   1234567                0x599ed017fb08fc85   89      -0.609375   91
///   18446744073709551615   0xe4d971771b652c20   228     1.5625      803
TEST(ProbeValues, AreTheGeneratorsUpperEightBits) {
  EXPECT_EQ(probe_values(0, 4), (std::vector<double>{1.53125, 0.265625, 0.359375, -1.546875}));
  EXPECT_EQ(probe_values(1234567, 1), (std::vector<double>{-0.609375}));
}

TEST(ProbeValues, ElementIIsThatOfSeedPlusI) {
  const auto from_zero = probe_values(0, 100), from_forty = probe_values(40, 60);
  EXPECT_TRUE(std::equal(from_forty.begin(), from_forty.end(), from_zero.begin() + 40));
  EXPECT_TRUE(probe_values(9, 0).empty());
}

/// seed + i is taken modulo 2^64.
TEST(ProbeValues, TheLastSeedWrapsAround) {
  EXPECT_EQ(probe_values(UINT64_MAX, 2), (std::vector<double>{1.5625, 1.53125}));
}

TEST(ProbeValues, AreMultiplesOfASixtyFourthBetweenMinusTwoAndTwo) {
  for (const double value : probe_values(5, 10'000)) {
    EXPECT_EQ(value * 64, std::floor(value * 64));
    EXPECT_GE(value, -2);
    EXPECT_LT(value, 2);
  }
}

TEST(ProbeIntegers, AreTheUpperBitsModuloTheBound) {
  EXPECT_EQ(probe_integers(0, 4, 1000), (std::vector<std::int64_t>{516, 718, 287, 754}));
  EXPECT_EQ(probe_integers(1234567, 1, 1000), (std::vector<std::int64_t>{91}));
  EXPECT_EQ(probe_integers(3, 5, 1), (std::vector<std::int64_t>(5, 0)));
}

struct Row {
  const char* name;
  DType dtype;
  double scale, tolerance;
};
void PrintTo(const Row& row, std::ostream* out) { *out << row.name; }

class ProbeTolerance : public testing::TestWithParam<Row> {};

/// sqrt(2^-52) = 2^-26; sqrt(2^-23) = 2^-11.5; sqrt(2^-10) = 2^-5; sqrt(2^-7) = 2^-3.5.
TEST_P(ProbeTolerance, IsTheRootOfEpsilonTimesScale) {
  EXPECT_DOUBLE_EQ(probe_tolerance(GetParam().dtype, GetParam().scale), GetParam().tolerance);
}

INSTANTIATE_TEST_SUITE_P(Table, ProbeTolerance,
                         testing::Values(Row{"float64", DType::Float64, 3, 3.0 / 67108864},
                                         Row{"float32", DType::Float32, 1.25, 1.25 * 3.4526698300124393e-4},
                                         Row{"float16", DType::Float16, 2, 2.0 / 32},
                                         Row{"bfloat16", DType::BFloat16, 1, 8.838834764831845e-2},
                                         Row{"complex64_has_two_float32", DType::Complex64, 1, 3.4526698300124393e-4},
                                         Row{"complex128", DType::Complex128, 1, 1.0 / 67108864},
                                         Row{"zeros", DType::Float32, 0, 0}, Row{"int64", DType::Int64, 1000, 0},
                                         Row{"uint8", DType::UInt8, 255, 0}, Row{"boolean", DType::Bool, 1, 0}),
                         [](const auto& row) { return row.param.name; });

/// Terms of 10 that cancel to 0.001 leave 2^8 eps of 10; at 16 bits a 2^-6th of them at most.
TEST(ProbeTolerance, GrowsWithTheTermsThatCancelled) {
  EXPECT_DOUBLE_EQ(probe_tolerance(DType::Float32, 0.001, 10), 10 * 0x1p-15);
  EXPECT_DOUBLE_EQ(probe_tolerance(DType::Float64, 0, 10), 10 * 0x1p-44);
  EXPECT_DOUBLE_EQ(probe_tolerance(DType::Float16, 0, 10), 10 * 0x1p-6);
  EXPECT_DOUBLE_EQ(probe_tolerance(DType::Float32, 10, 10), 10 * 3.4526698300124393e-4);
  EXPECT_EQ(probe_tolerance(DType::Int64, 1, 10), 0);
}

ProbeTensor row_of(std::string name, std::vector<double> sample, DType dtype = DType::Float32) {
  ProbeTensor row{std::move(name), dtype, {static_cast<std::int64_t>(sample.size())}, "", sample, 0, {}, {}};
  for (const double value : sample) row.scale = std::max(row.scale, std::abs(value));
  return row;
}

Probe run_of(std::vector<ProbeTensor> modules) {
  Probe probe;
  probe.inputs = {row_of("0", {2, 1}), row_of("1", {50'000}, DType::Int64)};
  probe.modules = std::move(modules);
  return probe;
}

/// The four before, whatever came earlier; a container that hands on what its last layer gave is not counted twice.
TEST(ProbeInnerScale, IsThatOfTheLastFourOutputs) {
  const ProbeTensor output = row_of("0", {0.001});
  const Probe deep = run_of({row_of("a", {900}), row_of("b", {7}), row_of("c", {3}), row_of("d", {5}), row_of("e", {4}),
                             row_of("block", {4}), row_of("fc", {0.001})});
  EXPECT_EQ(probe_inner_scale(deep, output, deep.modules.size()), 7);
  EXPECT_EQ(probe_inner_scale(deep, deep.modules[1], 1), 900);
  EXPECT_EQ(probe_inner_scale(deep, deep.modules[0], 0), 2);  // the floating input; token numbers are no magnitudes
  EXPECT_EQ(probe_inner_scale(run_of({row_of("ids", {1000}, DType::Int64)}), output, 1), 2);
  EXPECT_EQ(probe_inner_scale(run_of({}), output, 9), 2);
}

/// The sample misses the largest element; the scale does not.
TEST(ProbeOutput, HasTheScaleOfAllElements) {
  std::vector<float> values(10'000, 0.5F);
  values[9'999] = -8;
  std::vector<std::byte> bytes(values.size() * sizeof(float));
  std::memcpy(bytes.data(), values.data(), bytes.size());
  const ProbeTensor output = probe_output("0", make_tensor(DType::Float32, {100, 100}, std::move(bytes)));
  EXPECT_EQ(output.scale, 8);
  EXPECT_EQ(output.sample.size(), 64U);
}

}  // namespace
}  // namespace tenon
