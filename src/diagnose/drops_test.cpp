#include <gtest/gtest.h>

#include <tenon/diagnose.hpp>

#include "support/listings.hpp"

namespace tenon {
namespace {

using test::listing_of;
using test::Row;

// A backbone in the order of registration, and what else the file holds.
std::vector<Row> backbone() { return {{"stem.weight", {4, 3}}, {"body.0.weight", {4, 4}}, {"body.1.weight", {5, 4}}}; }
std::vector<Row> with(std::vector<Row> rows, const std::vector<Row>& more) {
  rows.insert(rows.end(), more.begin(), more.end());
  return rows;
}

struct DropCase {
  const char* name;
  std::vector<Row> extra;   ///< in the file, behind the backbone
  std::vector<Row> wanted;  ///< by the model, beside the backbone
  const char* pattern;
  Harm harm;
  const char* why;  ///< part of it
};
class Drops : public testing::TestWithParam<DropCase> {};

TEST_P(Drops, AreJudgedByEvidence) {
  const DropCase& row = GetParam();
  const Plan plan{{{Drop{row.pattern}}}};
  const auto verdicts =
      judge_drops(plan, listing_of(with(backbone(), row.extra)), listing_of(with(backbone(), row.wanted)));
  ASSERT_EQ(verdicts.size(), 1U);
  EXPECT_EQ(verdicts[0].harm, row.harm) << verdicts[0].why;
  EXPECT_NE(verdicts[0].why.find(row.why), std::string::npos) << verdicts[0].why;
}

INSTANTIATE_TEST_SUITE_P(
    Table, Drops,
    testing::Values(
        DropCase{"BatchCounter", {{"body.1.num_batches_tracked", {}}}, {}, "*tracked", Harm::Harmless, "counter"},
        DropCase{"Computed", {{"body.position_ids", {1, 9}}}, {}, "*_ids", Harm::Harmless, "computes itself"},
        DropCase{"CausalMask", {{"body.attn.bias", {1, 1, 9, 9}}}, {}, "*.bias", Harm::Harmless, "computes itself"},
        DropCase{"MaskOfNamesOnly",
                 {{"h.attn.bias", {9}}, {"h.attn.masked_bias", {}}},
                 {},
                 "h.attn.*",
                 Harm::Harmless,
                 "computes itself"},
        DropCase{"Optimizer", {{"optimizer.state.0.exp_avg", {4, 3}}}, {}, "optimizer.*", Harm::Harmless, "optimizer"},
        DropCase{"Average", {{"ema.stem.weight", {4, 3}}}, {}, "ema.*", Harm::Harmless, "copy"},
        DropCase{"Loss", {{"criterion.weight", {7}}}, {}, "criterion.*", Harm::Harmless, "only training"},
        DropCase{"Head", {{"fc.weight", {10, 5}}}, {}, "fc.*", Harm::Harmless, "does not have"},
        DropCase{"HeadOfOtherClasses",
                 {{"fc.weight", {10, 5}}},
                 {{"head.weight", {3, 5}}},
                 "fc.*",
                 Harm::Harmless,
                 "its own, `head`"},
        DropCase{"HeadUnderAnotherName",
                 {{"fc.weight", {10, 5}}},
                 {{"head.weight", {10, 5}}},
                 "fc.*",
                 Harm::Harmful,
                 "as `head`"},
        DropCase{"NotTheHeadOfABlock",
                 {{"body.0.fc.weight", {4, 4}}, {"z.weight", {2, 2}}},
                 {{"z.weight", {2, 2}}},
                 "body.0.fc.*",
                 Harm::Harmful,
                 "other inputs"},
        DropCase{
            "LastOfAllMayBeTheLastNorm", {{"out_norm.weight", {5}}}, {}, "out_norm.*", Harm::Harmful, "does not have"},
        DropCase{"BiasOfALayerThatStays", {{"body.1.bias", {5}}}, {}, "*.bias", Harm::Harmful, "every output"},
        DropCase{"WantedAsItIs",
                 {{"body.2.weight", {5, 5}}},
                 {{"body.2.weight", {5, 5}}},
                 "body.2.*",
                 Harm::Harmful,
                 "under this name"},
        DropCase{"OneOfTwoIsMissed",
                 {{"ema.q", {2}}, {"mid.q", {2}}, {"z.weight", {2}}},
                 {{"z.weight", {2}}},
                 "*.q",
                 Harm::Harmful,
                 "(1 of 2)"}),
    [](const auto& row) { return row.param.name; });

TEST(Drops, OfAGraphAreJudgedByWhatComesBehind) {
  Listing checkpoint = listing_of(with(backbone(), {{"aux.weight", {2, 4}}, {"mid.weight", {4, 4}}}));
  Blueprint blueprint;
  Graph graph;
  const auto node = [&](std::vector<Operand> operands) {
    graph.nodes.push_back({"linear", "", "[]", {}, std::move(operands)});
  };
  const auto tensor = [](const char* name) { return Operand{Operand::From::Tensor, 0, name, 0}; };
  const auto result = [](std::uint64_t index) { return Operand{Operand::From::Node, index, "", 0}; };
  node({tensor("stem.weight")});
  node({result(0), tensor("mid.weight")});
  node({result(1), tensor("body.0.weight")});
  node({result(2), tensor("aux.weight")});
  blueprint.graph = graph;
  checkpoint.blueprint = std::make_shared<const Blueprint>(std::move(blueprint));
  const auto verdicts = judge_drops({{{Drop{"mid.*"}}, {Drop{"aux.*"}}}}, checkpoint, listing_of(backbone()));
  ASSERT_EQ(verdicts.size(), 2U);
  EXPECT_EQ(verdicts[0].harm, Harm::Harmful);
  EXPECT_NE(verdicts[0].why.find("`body.0.weight`"), std::string::npos) << verdicts[0].why;
  EXPECT_EQ(verdicts[1].harm, Harm::Harmless) << verdicts[1].why;
}

TEST(Drops, ThatDoHarmAreNoOperationsUnasked) {
  const Report report = diagnose(listing_of(with(backbone(), {{"ema.stem.weight", {4, 3}}})), listing_of(backbone()));
  ASSERT_EQ(report.drops.size(), 1U);
  for (const DropVerdict& drop : report.drops)
    EXPECT_EQ(report.plan.ops[drop.op].applicability,
              drop.harm == Harm::Harmful ? Applicability::Guess : Applicability::Exact);
}

}  // namespace
}  // namespace tenon
