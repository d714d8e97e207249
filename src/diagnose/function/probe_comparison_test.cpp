// compare_probes: when two runs computed the same, when not, and when nobody can say.
#include <gtest/gtest.h>

#include <cmath>
#include <functional>
#include <limits>
#include <ostream>
#include <string>

#include <tenon/blueprint.hpp>

namespace tenon {
namespace {

const double kNan = std::nan("");
const double kInfinity = std::numeric_limits<double>::infinity();

/// Input x, modules conv and fc, output of 4 elements up to 8: float32, so that sqrt(2^-23) * 8 = 0.00276 is allowed.
Blueprint ran() {
  Blueprint blueprint;
  blueprint.tensors = {{"w", DType::Float32, Shape{2}, Role::Parameter, "", std::nullopt}};
  Probe probe;
  probe.inputs = {{"0", DType::Float32, {2}, "sha256:input", {0.5, -1}, 1, std::nullopt, {0.5, -1}}};
  probe.outputs = {{"0", DType::Float32, {1, 4}, "sha256:one", {1, 2, -8, 4}, 8, std::nullopt, {}}};
  probe.modules = {{"conv", DType::Float32, {4}, "", {1, 2, 3, 4}, 4, std::nullopt, {}},
                   {"fc", DType::Float32, {4}, "", {1, 2, -8, 4}, 8, std::nullopt, {}}};
  probe.state = {{"w", 0.25, 14.5}};
  blueprint.probe = probe;
  return blueprint;
}

/// The output is not byte for byte the same.
ProbeTensor& other_output(Blueprint& blueprint) {
  ProbeTensor& output = blueprint.probe->outputs[0];
  output.digest = "sha256:other";
  return output;
}

using Edit = std::function<void(Blueprint&)>;

struct Row {
  const char* name;
  Edit make;
  ProbeVerdict verdict;
  double max_abs;
  const char* module;
  const char* detail;  ///< a part of it
};
void PrintTo(const Row& row, std::ostream* out) { *out << row.name; }

class ComparedProbes : public testing::TestWithParam<Row> {};

TEST_P(ComparedProbes, GiveAVerdictInBothDirections) {
  const Blueprint from = ran();
  Blueprint to = ran();
  GetParam().make(to);
  for (const bool is_forward : {true, false}) {
    std::string why_not = "untouched";
    const auto found = is_forward ? compare_probes(from, to, &why_not) : compare_probes(to, from, &why_not);
    ASSERT_TRUE(found) << why_not;
    EXPECT_EQ(why_not, "untouched");
    EXPECT_EQ(verdict_name(found->verdict), verdict_name(GetParam().verdict));
    if (std::isnan(GetParam().max_abs))
      EXPECT_TRUE(std::isnan(found->max_abs)) << found->max_abs;
    else
      EXPECT_DOUBLE_EQ(found->max_abs, GetParam().max_abs);
    EXPECT_EQ(found->first_deviating_module, GetParam().module);
    EXPECT_NE(found->detail.find(GetParam().detail), std::string::npos) << found->detail;
  }
}

constexpr auto kEqual = ProbeVerdict::Equal;
constexpr auto kWithin = ProbeVerdict::WithinTolerance;
constexpr auto kOther = ProbeVerdict::OtherFunction;

INSTANTIATE_TEST_SUITE_P(
    Table, ComparedProbes,
    testing::Values(
        Row{"equal", [](Blueprint&) {}, kEqual, 0, "", ""},
        Row{"within", [](Blueprint& b) { other_output(b).sample[0] = 1.0 + 0x1p-9; },  // 0.00195
            kWithin, 0x1p-9, "", "0.00195"},
        Row{"beyond", [](Blueprint& b) { other_output(b).sample[0] = 1.0 + 0x1p-8; },  // 0.00391
            kOther, 0x1p-8, "", "values up to 8"},
        Row{"beyond_but_allowed_by_the_writer",
            [](Blueprint& b) {
              other_output(b).sample[0] = 1.0 + 0x1p-8;
              b.probe->outputs[0].tolerance = 0.01;
            },
            kWithin, 0x1p-8, "", "0.00391"},
        Row{"larger_terms_on_one_side_allow_no_more",
            [](Blueprint& b) {
              b.probe->modules[0].sample = {1, 2, 3, 1000};
              b.probe->modules[0].scale = 1000;
              other_output(b).sample[0] = 1.0 + 0x1p-8;
            },
            kOther, 0x1p-8, "conv", "deviates by"},
        Row{"other_bytes_of_equal_samples", [](Blueprint& b) { other_output(b); }, kWithin, 0, "", "deviation 0"},
        Row{"other_function",
            [](Blueprint& b) {
              other_output(b).sample = {1, 2, 3, 4};
            },
            kOther, 11, "", "output 0: deviates by 11"},
        Row{"first_module_that_deviates",
            [](Blueprint& b) {
              other_output(b).sample = {0, 0, 0, 0};
              b.probe->modules[0].sample = {1, 2, 3, 5};
              b.probe->modules[1].sample = {0, 0, 0, 0};
            },
            kOther, 8, "conv", "deviates by 8"},
        Row{"a_module_within_tolerance_is_passed_over",
            [](Blueprint& b) {
              other_output(b).sample = {0, 0, 0, 0};
              b.probe->modules[0].sample = {1, 2, 3, 4.0005};
              b.probe->modules[1].sample = {0, 0, 0, 0};
            },
            kOther, 8, "fc", "deviates by 8"},
        Row{"module_of_another_shape",
            [](Blueprint& b) {
              other_output(b).sample = {0, 0, 0, 0};
              b.probe->modules[0].shape = {2, 2};
            },
            kOther, 8, "conv", ""},
        Row{"a_module_on_one_side_is_passed_over",
            [](Blueprint& b) {
              other_output(b).sample = {0, 0, 0, 0};
              b.probe->modules[0].name = "convolution";
              b.probe->modules[1].sample = {0, 0, 0, 0};
            },
            kOther, 8, "fc", ""},
        Row{"other_shape",
            [](Blueprint& b) {
              b.probe->outputs[0].shape = {4, 1};
            },
            kOther, 0, "", "float32 [4, 1]"},
        Row{"other_shape_with_other_weights",
            [](Blueprint& b) {
              b.probe->outputs[0].shape = {4, 1};
              b.probe->state[0].sum = 99;
            },
            kOther, 0, "", "float32 [4, 1]"},
        Row{"integers_for_floats", [](Blueprint& b) { b.probe->outputs[0].dtype = DType::Int64; }, kOther, 0, "",
            "int64 [1, 4]"},
        Row{"another_precision",
            [](Blueprint& b) {
              b.probe->inputs[0].dtype = DType::Float16;
              b.probe->inputs[0].digest = "sha256:half";
              b.tensors[0].dtype = DType::Float16;
              b.probe->state[0].sum = 0.26;
              other_output(b).dtype = DType::Float16;
              b.probe->outputs[0].sample[0] = 1.2;  // sqrt(2^-10) * 8 = 0.25
            },
            kWithin, 1.2 - 1, "", "0.2"},
        Row{"output_less", [](Blueprint& b) { b.probe->outputs.push_back(b.probe->outputs[0]); }, kOther, 0, "",
            "2 outputs"},
        Row{"nan_for_a_number", [](Blueprint& b) { other_output(b).sample[1] = kNan; }, kOther, kNan, "", "nan"},
        Row{"infinity_for_a_number", [](Blueprint& b) { other_output(b).sample[2] = -kInfinity; }, kOther, kInfinity,
            "", "inf"}),
    [](const auto& row) { return row.param.name; });

TEST(ComparedProbes, TheSecondOutputCountsToo) {
  Blueprint from = ran(), to = ran();
  from.probe->outputs.push_back({"mask", DType::Int64, {2}, "sha256:m", {1, 2}, 2, 0, {}});
  to.probe->outputs.push_back({"mask", DType::Int64, {2}, "sha256:n", {1, 3}, 3, 0, {}});
  const auto found = compare_probes(from, to);
  ASSERT_TRUE(found);
  EXPECT_EQ(found->verdict, kOther);
  EXPECT_EQ(found->detail, "output mask: deviates by 1, of values up to 3");
}

/// A mask of minus infinity or NaN on both sides is the same output, and no deviation of NaN.
TEST(ComparedProbes, EqualNanAndInfinityDoNotDeviate) {
  Blueprint from = ran(), to = ran();
  from.probe->outputs[0].sample = {kNan, -kInfinity, 1, 2};
  other_output(to).sample = {kNan, -kInfinity, 1.0 + 0x1p-12, 2};
  const auto found = compare_probes(from, to);
  ASSERT_TRUE(found);
  EXPECT_EQ(found->verdict, kWithin);
  EXPECT_EQ(found->max_abs, 0x1p-12);
}

// ---- what cannot be compared

struct Obstacle {
  const char* name;
  Edit make;
  const char* why;
};
void PrintTo(const Obstacle& row, std::ostream* out) { *out << row.name; }

class UncomparedProbes : public testing::TestWithParam<Obstacle> {};

TEST_P(UncomparedProbes, SayWhy) {
  const Blueprint from = ran();
  Blueprint to = ran();
  GetParam().make(to);
  std::string why;
  EXPECT_FALSE(compare_probes(from, to, &why));
  EXPECT_EQ(why, GetParam().why);
  EXPECT_FALSE(compare_probes(to, from));  // and nobody has to ask why
}

INSTANTIATE_TEST_SUITE_P(
    Table, UncomparedProbes,
    testing::Values(
        Obstacle{"no_probe", [](Blueprint& b) { b.probe.reset(); }, "one side has no probe"},
        Obstacle{"no_output", [](Blueprint& b) { b.probe->outputs.clear(); }, "one side's run gave no output"},
        Obstacle{"random", [](Blueprint& b) { b.probe->is_deterministic = false; }, "the outputs are random"},
        Obstacle{"other_inputs", [](Blueprint& b) { b.probe->inputs[0].digest = "sha256:more"; },
                 "the probes ran on other inputs"},
        Obstacle{"other_inputs_and_other_output_shape",
                 [](Blueprint& b) {
                   b.probe->inputs[0].shape = {3};
                   b.probe->outputs[0].shape = {3, 4};
                 },
                 "the probes ran on other inputs"},
        Obstacle{"one_input_more", [](Blueprint& b) { b.probe->inputs.push_back(b.probe->inputs[0]); },
                 "the probes ran on other inputs"},
        Obstacle{"inputs_of_another_precision_with_other_values",
                 [](Blueprint& b) {
                   b.probe->inputs[0].dtype = DType::Float64;
                   b.probe->inputs[0].values = {0.5, 1};
                 },
                 "the probes ran on other inputs"},
        Obstacle{"inputs_of_another_precision_without_values",
                 [](Blueprint& b) {
                   b.probe->inputs[0].dtype = DType::Float64;
                   b.probe->inputs[0].values.clear();
                   b.probe->inputs[0].sample.clear();
                 },
                 "the probes ran on other inputs"},
        Obstacle{"other_sum", [](Blueprint& b) { b.probe->state[0].sum = 0.5; },
                 "the probes ran with other weights (w)"},
        Obstacle{"other_magnitude", [](Blueprint& b) { b.probe->state[0].magnitude = 14; },
                 "the probes ran with other weights (w)"},
        Obstacle{"weights_became_nan", [](Blueprint& b) { b.probe->state[0].sum = kNan; },
                 "the probes ran with other weights (w)"}),
    [](const auto& row) { return row.param.name; });

/// Values of inputs that neither side wrote down cannot be called equal.
TEST(UncomparedProbes, InputsWithoutDigestAndValuesAreNotEqual) {
  Blueprint from = ran(), to = ran();
  for (Blueprint* side : {&from, &to}) {
    side->probe->inputs[0].digest.clear();
    side->probe->inputs[0].values.clear();
    side->probe->inputs[0].sample.clear();
  }
  EXPECT_FALSE(compare_probes(from, to));
}

/// Nor outputs of which only unequal digests are known.
TEST(UncomparedProbes, OutputsWithoutSamplesAreEqualOrUnknown) {
  Blueprint from = ran(), to = ran();
  from.probe->outputs[0].sample.clear();
  to.probe->outputs[0].sample.clear();
  ASSERT_TRUE(compare_probes(from, to));
  EXPECT_EQ(compare_probes(from, to)->verdict, kEqual);
  other_output(to);
  std::string why;
  EXPECT_FALSE(compare_probes(from, to, &why));
  EXPECT_EQ(why, "output 0 has no samples that can be compared");
}

/// Inputs without digest compare by what was written of them.
TEST(ComparedProbes, InputsWithoutDigestCompareByTheirValues) {
  Blueprint from = ran(), to = ran();
  from.probe->inputs[0].digest.clear();
  to.probe->inputs[0].digest.clear();
  EXPECT_TRUE(compare_probes(from, to));
  to.probe->inputs[0].values[1] = 1;
  EXPECT_FALSE(compare_probes(from, to));
}

/// Terms of 1000 cancelled to 8: 2^8 * 2^-23 * 1000 = 0.0305 is what other orders of summation may leave.
TEST(ComparedProbes, AllowWhatCancellingLeaves) {
  Blueprint from = ran();
  from.probe->modules[0] = {"conv", DType::Float32, {4}, "", {1, 2, 3, 1000}, 1000, std::nullopt, {}};
  Blueprint to = from;
  other_output(to).sample[0] = 1.0 + 0.03;
  EXPECT_EQ(compare_probes(from, to)->verdict, ProbeVerdict::WithinTolerance);
  other_output(to).sample[0] = 1.0 + 0.04;
  EXPECT_EQ(compare_probes(from, to)->verdict, ProbeVerdict::OtherFunction);
}

}  // namespace
}  // namespace tenon
