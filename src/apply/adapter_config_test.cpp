#include "apply/adapter_config.hpp"

#include <gtest/gtest.h>

#include <tenon/error.hpp>

#include "support/folder.hpp"

namespace tenon::apply_plan {
namespace {

class AdapterConfigs : public test::TemporaryFolder {
 protected:
  std::optional<AdapterConfig> read(const std::string& members) {
    test::put(path("adapter_config.json"), R"({"peft_type": "LORA", "r": 8, )" + members + "}");
    return adapter_config_beside(path("adapter_model.safetensors"));
  }

  double scale(const std::string& alpha_pattern, std::int64_t rank = 1) {
    return read(R"("lora_alpha": 1, "alpha_pattern": )" + alpha_pattern)
        ->scale("base_model.model.model.layers.0.q_proj.lora_A.weight", rank);
  }

  Code refusal(const std::string& members) {
    try {
      read(members);
    } catch (const Error& error) {
      EXPECT_FALSE(error.expected.empty());
      return error.code;
    }
    ADD_FAILURE() << "not refused: " << members;
    return Code::Read;
  }
};

TEST_F(AdapterConfigs, KeysOfAlphaPatternAreExpressionsForTheNameOrItsEnd) {
  EXPECT_EQ(scale(R"({"q_proj": 8})"), 8);
  EXPECT_EQ(scale(R"({"model.layers.0.q_proj": 8})"), 8);
  EXPECT_EQ(scale(R"({"^model.layers.0.q_proj": 8})"), 8);
  EXPECT_EQ(scale(R"({"q_proj$": 8})"), 8);
  EXPECT_EQ(scale(R"({"layers\\.[0-3]\\.q_proj": 8})"), 8);
  EXPECT_EQ(scale(R"({"^x|q_proj": 8})"), 8);
  EXPECT_EQ(scale(R"({"^layers.0.q_proj": 8})"), 1) << "the module's name begins with `model`";
  EXPECT_EQ(scale(R"({"proj": 8})"), 1) << "no dot before it";
  EXPECT_EQ(scale(R"({"layers.0": 8})"), 1) << "not the end";
  EXPECT_EQ(scale(R"({"base_model.model.model.layers.0.q_proj": 8})"), 1) << "PEFT's wrapper is not the model's name";
}

TEST_F(AdapterConfigs, TheFirstOfTheFileWins) {
  EXPECT_EQ(scale(R"({"q_proj": 16, "model.layers.0.q_proj": 8})"), 16);
  EXPECT_EQ(scale(R"({"model.layers.0.q_proj": 8, "q_proj": 16})"), 8);
}

TEST_F(AdapterConfigs, TheRankIsThatOfTheFactors) {
  EXPECT_EQ(scale(R"({"q_proj": 8}, "rank_pattern": {"q_proj": 4})", 4), 2);
  EXPECT_EQ(scale(R"({"q_proj": 8}, "use_rslora": true)", 4), 4);
  EXPECT_EQ(scale("null", 4), 0.25);
}

TEST_F(AdapterConfigs, AnExpressionThatCannotBeReadIsNoDefault) {
  for (const char* pattern : {R"({"(": 8})", R"json({"(?P<a>q)": 8})json", R"({"q_proj\\Z": 8})", R"({"(q)\\1": 8})",
                              R"({"q_proj": "8"})", R"(["q_proj"])"})
    EXPECT_EQ(refusal(std::string(R"("lora_alpha": 1, "alpha_pattern": )") + pattern), Code::Invalid) << pattern;
}

TEST_F(AdapterConfigs, WhatIsMoreThanItsFactorsIsRefused) {
  EXPECT_EQ(refusal(R"("lora_alpha": 1, "use_dora": true)"), Code::Unsupported);
  EXPECT_EQ(refusal(R"("lora_alpha": 1, "lora_bias": true)"), Code::Unsupported);
  test::put(path("adapter_config.json"), R"({"peft_type": "ADALORA", "lora_alpha": 1})");
  EXPECT_THROW(adapter_config_beside(path("adapter_model.safetensors")), Error);
}

TEST_F(AdapterConfigs, WithoutAlphaThereIsNoScale) {
  const auto config = read(R"("alpha_pattern": {"a": 2})");
  EXPECT_EQ(config->scale("base_model.model.a.lora_A.weight", 1), 2);
  EXPECT_THROW(config->scale("base_model.model.b.lora_A.weight", 1), Error);
}

}  // namespace
}  // namespace tenon::apply_plan
