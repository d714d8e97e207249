// tenon's generator and the tolerance of a probe, against numbers worked out from the document.
#include <gtest/gtest.h>

#include <cmath>

#include <tenon/blueprint.hpp>

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

}  // namespace
}  // namespace tenon
