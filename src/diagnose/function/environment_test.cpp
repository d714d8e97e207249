// environment_changes: what can show in a result, and what cannot.
#include <gtest/gtest.h>

#include <ostream>
#include <string>

#include <tenon/blueprint.hpp>

namespace tenon {
namespace {

Blueprint in(const JsonMembers& environment) {
  Blueprint blueprint;
  blueprint.environment = environment;
  return blueprint;
}

struct Row {
  const char* name;
  const char* what;
  const char* from;  ///< JSON
  const char* to;
  const char* told;         ///< `from -> to`
  const char* consequence;  ///< a part of it
};
void PrintTo(const Row& row, std::ostream* out) { *out << row.name; }

class EnvironmentMatters : public testing::TestWithParam<Row> {};

TEST_P(EnvironmentMatters, InBothDirectionsWithItsConsequence) {
  const Row& row = GetParam();
  const Blueprint from = in({{row.what, row.from}}), to = in({{row.what, row.to}});
  const auto changes = environment_changes(from, to);
  ASSERT_EQ(changes.size(), 1U);
  EXPECT_EQ(changes[0].what, row.what);
  EXPECT_EQ(changes[0].from + " -> " + changes[0].to, row.told);
  EXPECT_NE(changes[0].consequence.find(row.consequence), std::string::npos) << changes[0].consequence;
  EXPECT_EQ(environment_changes(to, from).size(), 1U);
}

INSTANTIATE_TEST_SUITE_P(
    Table, EnvironmentMatters,
    testing::Values(
        Row{"minor_release", "framework", R"("torch 1.13.1")", R"("torch 1.12.0")", "torch 1.13.1 -> torch 1.12.0",
            "kernels of operators differ"},
        Row{"major_release", "framework", R"("torch 1.13.1")", R"("torch 2.4.0+cu121")",
            "torch 1.13.1 -> torch 2.4.0+cu121", "within rounding"},
        Row{"release_with_two_digits", "framework", R"("torch 2.1.0")", R"("torch 2.10.0")",
            "torch 2.1.0 -> torch 2.10.0", "within rounding"},
        Row{"other_framework", "framework", R"("torch 2.4.0")", R"("jax 2.4.0")", "torch 2.4.0 -> jax 2.4.0",
            "kernels of operators differ"},
        Row{"front_end_and_release", "framework", R"("torch 2.4.0")", R"("libtorch 1.13.1")",
            "torch 2.4.0 -> libtorch 1.13.1", "kernels of operators differ"},
        Row{"default_dtype", "default_dtype", R"("float32")", R"("float64")", "float32 -> float64", "inside `forward`"},
        Row{"no_gpu", "cuda", R"("11.8")", "null", "11.8 -> none", "another order on the other device"},
        Row{"tf32", "tf32", "false", "true", "false -> true", "10 bits"},
        Row{"deterministic", "deterministic", "true", "false", "true -> false", "last bits"},
        Row{"cudnn_benchmark", "cudnn_benchmark", "false", "true", "false -> true", "by speed at run time"}),
    [](const auto& row) { return row.param.name; });

struct Same {
  const char* name;
  JsonMembers from, to;
};
void PrintTo(const Same& row, std::ostream* out) { *out << row.name; }

class EnvironmentMattersNot : public testing::TestWithParam<Same> {};

TEST_P(EnvironmentMattersNot, InEitherDirection) {
  EXPECT_TRUE(environment_changes(in(GetParam().from), in(GetParam().to)).empty());
  EXPECT_TRUE(environment_changes(in(GetParam().to), in(GetParam().from)).empty());
}

INSTANTIATE_TEST_SUITE_P(
    Table, EnvironmentMattersNot,
    testing::Values(
        Same{"os", {{"os", R"("Linux x86_64")"}}, {{"os", R"("Darwin arm64")"}}},
        Same{"threads", {{"threads", "2"}}, {{"threads", "64"}}},
        Same{"cpu", {{"cpu", R"("AVX2")"}}, {{"cpu", R"("AVX512")"}}},
        Same{"compiler", {{"compiler", R"("GCC 12.2")"}}, {{"compiler", R"("clang 14")"}}},
        Same{"python", {{"python", R"("3.9.1")"}}, {{"python", R"("3.11.2")"}}},
        Same{"patch_release", {{"framework", R"("torch 1.13.0")"}}, {{"framework", R"("torch 1.13.1+cpu")"}}},
        Same{"front_end_of_one_release", {{"framework", R"("torch 1.13.1")"}}, {{"framework", R"("libtorch 1.13.0")"}}},
        Same{"other_cuda", {{"cuda", R"("11.8")"}}, {{"cuda", R"("12.1")"}}},
        Same{"no_gpu_on_both", {{"cuda", "null"}, {"os", R"("Linux")"}}, {{"os", R"("Linux")"}}},
        Same{"one_side_does_not_say",
             {{"os", R"("Linux")"}},
             {{"deterministic", "true"}, {"framework", R"("torch 1.13.1")"}, {"tf32", "true"}}},
        Same{"one_side_says_nothing", {}, {{"framework", R"("torch 1.13.1")"}, {"cuda", R"("11.8")"}}},
        Same{"equal",
             {{"framework", R"("torch 1.13.1")"}, {"tf32", "true"}},
             {{"framework", R"("torch 1.13.1")"}, {"tf32", "true"}}}),
    [](const auto& row) { return row.param.name; });

TEST(EnvironmentChanges, SeveralAreToldInTheOrderOfTheirWeight) {
  const auto changes =
      environment_changes(in({{"cudnn_benchmark", "false"}, {"framework", R"("torch 1.13.1")"}, {"tf32", "false"}}),
                          in({{"cudnn_benchmark", "true"}, {"framework", R"("torch 2.4.0")"}, {"tf32", "true"}}));
  ASSERT_EQ(changes.size(), 3U);
  EXPECT_EQ(changes[0].what, "framework");
  EXPECT_EQ(changes[1].what, "tf32");
  EXPECT_EQ(changes[2].what, "cudnn_benchmark");
}

}  // namespace
}  // namespace tenon
