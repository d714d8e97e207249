// What a config.json tells, and which of two are one.
#include "model/config_blueprint.hpp"

#include <gtest/gtest.h>

#include <ostream>
#include <string>

#include <tenon/error.hpp>

namespace tenon::model {
namespace {

Blueprint read(const std::string& text) { return config_blueprint(text, "config.json"); }

struct Class {
  const char* name;
  const char* text;
  const char* told;
};
void PrintTo(const Class& row, std::ostream* out) { *out << row.name; }

class ConfigClass : public testing::TestWithParam<Class> {};

TEST_P(ConfigClass, IsTold) { EXPECT_EQ(read(GetParam().text).class_name, GetParam().told); }

INSTANTIATE_TEST_SUITE_P(
    Table, ConfigClass,
    testing::Values(Class{"transformers", R"({"architectures": ["BertModel"], "model_type": "bert"})", "BertModel"},
                    Class{"type_only", R"({"model_type": "bert"})", "bert"},
                    Class{"diffusers", R"({"_class_name": "UNet2DModel"})", "UNet2DModel"},
                    Class{"plain", R"({"class": "Net", "width": 3})", "Net"}, Class{"none", R"({"width": 3})", "model"},
                    Class{"odd", R"({"architectures": 3, "class": [1]})", "model"}),
    [](const auto& row) { return std::string(row.param.name); });

struct Pair {
  const char* name;
  const char* from;
  const char* to;
  const char* told;  ///< `what: from -> to`; "" for equal
};
void PrintTo(const Pair& row, std::ostream* out) { *out << row.name; }

class TwoConfigs : public testing::TestWithParam<Pair> {};

TEST_P(TwoConfigs, DifferInWhatDecidesTheFunction) {
  const auto changes = architecture_changes(read(GetParam().from), read(GetParam().to));
  std::string told;
  for (const ArchitectureChange& change : changes) told += change.what + ": " + change.from + " -> " + change.to;
  EXPECT_EQ(told, GetParam().told);
}

INSTANTIATE_TEST_SUITE_P(
    Table, TwoConfigs,
    testing::Values(
        Pair{"heads", R"({"model_type": "b", "num_attention_heads": 12})",
             R"({"model_type": "b", "num_attention_heads": 6})",
             "option num_attention_heads: b(num_attention_heads=12) -> b(num_attention_heads=6)"},
        Pair{"activation", R"({"class": "N", "hidden_act": "gelu"})", R"({"class": "N", "hidden_act": "relu"})",
             "option hidden_act: N(hidden_act=gelu) -> N(hidden_act=relu)"},
        Pair{"inside", R"({"class": "N", "rope": {"theta": 1e4, "kind": "a"}})",
             R"({"class": "N", "rope": {"theta": 5e5, "kind": "a"}})",
             "option rope.theta: N(rope.theta=10000.0) -> N(rope.theta=500000.0)"},
        Pair{"one_side", R"({"class": "N"})", R"({"class": "N", "scale": 2})", "option scale: N() -> N(scale=2)"},
        Pair{"one_side_of_another_release", R"({"class": "N", "transformers_version": "4.1"})",
             R"({"class": "N", "transformers_version": "4.2", "head_dim": 64})", ""},
        Pair{"both_sides_of_another_release", R"({"class": "N", "transformers_version": "4.1", "eps": 1e-5})",
             R"({"class": "N", "transformers_version": "4.2", "eps": 1e-6})",
             "option eps: N(eps=1e-05) -> N(eps=1e-06)"},
        Pair{"cosmetic",
             R"({"class": "N", "transformers_version": "4.1", "_name_or_path": "a", "torch_dtype": "float32",
                 "use_cache": true, "id2label": {"0": "cat"}, "max_length": 20, "x": 1})",
             R"({"class": "N", "transformers_version": "4.2", "_name_or_path": "b", "torch_dtype": "float16",
                 "use_cache": false, "id2label": {"0": "dog"}, "top_k": 5, "x": 1})",
             ""},
        Pair{"words_of_others", R"({"class": "N", "top_k": 2})", R"({"class": "N", "top_k": 4})",
             "option top_k: N(top_k=2) -> N(top_k=4)"},
        Pair{"null", R"({"class": "N", "scale": null})", R"({"class": "N"})", ""},
        Pair{"whole_and_real", R"({"class": "N", "scale": 1})", R"({"class": "N", "scale": 1.0})", ""}),
    [](const auto& row) { return std::string(row.param.name); });

struct Bad {
  const char* name;
  std::string text;
  Code code;
};
void PrintTo(const Bad& row, std::ostream* out) { *out << row.name; }

class BadConfig : public testing::TestWithParam<Bad> {};

TEST_P(BadConfig, IsRefused) {
  try {
    read(GetParam().text);
    FAIL() << "nothing was thrown";
  } catch (const Error& error) {
    EXPECT_EQ(error.code, GetParam().code);
    EXPECT_EQ(error.where.file, "config.json");
  }
}

std::string many_members() {
  std::string text = "{\"a\": 1";
  for (int i = 0; i < 20'000; ++i) text += ", \"m" + std::to_string(i) + "\": 1";
  return text + "}";
}

INSTANTIATE_TEST_SUITE_P(Table, BadConfig,
                         testing::Values(Bad{"list", "[1]", Code::Corrupt}, Bad{"cut", "{\"a\": ", Code::Corrupt},
                                         Bad{"twice", R"({"a": 1, "a": 2})", Code::Corrupt},
                                         Bad{"deep", std::string(200, '[') + std::string(200, ']'), Code::Limit},
                                         Bad{"many", many_members(), Code::Limit}),
                         [](const auto& row) { return std::string(row.param.name); });

}  // namespace
}  // namespace tenon::model
