#include <gtest/gtest.h>

#include <algorithm>
#include <cstdio>
#include <fstream>

#include <tenon/diagnose.hpp>

#include "diagnose/dtype_changes.hpp"
#include "diagnose/file_kind.hpp"
#include "support/listings.hpp"
#include "support/memory_checkpoint.hpp"

namespace tenon {
namespace {

using test::CheckpointMaker;
using test::listing_of;
using test::prefixed;
using test::Row;
using test::small_net;

std::vector<std::string> ids(const Report& report) {
  std::vector<std::string> result;
  for (const Cause& cause : report.causes) result.push_back(cause.id);
  return result;
}
using Names = std::vector<std::string>;

std::uint64_t left(const Report& report) {
  return report.leaves.missing + report.leaves.unexpected + report.leaves.mismatched;
}

std::vector<Row> joined(std::vector<Row> a, const std::vector<Row>& b) {
  a.insert(a.end(), b.begin(), b.end());
  return a;
}
std::vector<Row> without(std::vector<Row> rows, const std::string& part) {
  rows.erase(std::remove_if(rows.begin(), rows.end(),
                            [&](const Row& row) { return row.name.find(part) != std::string::npos; }),
             rows.end());
  return rows;
}

// --- what a pair of listings is found to be --------------------------------------------------------------------------

struct PairCase {
  const char* name;
  std::vector<Row> checkpoint, target;
  Names causes;
  const char* plan;  ///< JSON
  std::uint64_t left = 0;
};
class Pairs : public testing::TestWithParam<PairCase> {};

TEST_P(Pairs, AreExplainedAndPlanned) {
  const Report report = diagnose(listing_of(GetParam().checkpoint), listing_of(GetParam().target));
  EXPECT_EQ(ids(report), GetParam().causes);
  EXPECT_EQ(to_json(report.plan), GetParam().plan);
  EXPECT_EQ(left(report), GetParam().left);
  EXPECT_EQ(report.fits, GetParam().causes.empty() && GetParam().left == 0);
}

#define EXACT(members) R"({"op":)" members R"(,"applicability":"exact"})"
const std::vector<Row> kNet = small_net();
const std::vector<Row> kBackbone = without(small_net(), "fc.");
const std::vector<Row> kHead{{"head.weight", {5, 16}}, {"head.bias", {5}}};
const std::vector<Row> kFc{{"fc.weight", {10, 16}}, {"fc.bias", {10}}};

INSTANTIATE_TEST_SUITE_P(
    Listings, Pairs,
    testing::Values(
        PairCase{"Same", kNet, kNet, {}, R"({"ops":[]})"},
        PairCase{"Strip",
                 prefixed(kNet, "module."),
                 kNet,
                 {"wrapper_prefix"},
                 R"({"ops":[)" EXACT(R"("strip_prefix","prefix":"module.")") "]}"},
        PairCase{"StripTwoParts",
                 prefixed(kNet, "module.encoder."),
                 kNet,
                 {"wrapper_prefix"},
                 R"({"ops":[)" EXACT(R"("strip_prefix","prefix":"module.encoder.")") "]}"},
        PairCase{"Add",
                 kNet,
                 prefixed(kNet, "_orig_mod."),
                 {"wrapper_prefix"},
                 R"({"ops":[)" EXACT(R"("add_prefix","prefix":"_orig_mod.")") "]}"},
        PairCase{"AnyPrefix",
                 prefixed(kNet, "zebra.9."),
                 kNet,
                 {"wrapper_prefix"},
                 R"({"ops":[)" EXACT(R"("strip_prefix","prefix":"zebra.9.")") "]}"},
        PairCase{
            "Replaced",
            prefixed(kNet, "module.encoder."),
            prefixed(kNet, "backbone."),
            {"wrapper_prefix"},
            R"({"ops":[)" EXACT(R"j("rename","from":"module\\.encoder\\.(.*)","to":"backbone.$1","regex":true)j") "]}"},
        PairCase{"CountersOnOneSide",
                 prefixed(kNet, "module."),
                 without(kNet, "num_batches"),
                 {"wrapper_prefix", "version_drift"},
                 R"({"ops":[)" EXACT(R"("strip_prefix","prefix":"module.")") "," EXACT(
                     R"("drop","pattern":"*.num_batches_tracked")") "]}"},
        PairCase{"OtherClasses",
                 kNet,
                 small_net(4, 5),
                 {"head_changed"},
                 R"({"ops":[)" EXACT(R"("keep_target","pattern":"fc.*")") "]}"},
        PairCase{"PrefixAndClasses",
                 prefixed(kNet, "module."),
                 small_net(4, 5),
                 {"wrapper_prefix", "head_changed"},
                 R"({"ops":[)" EXACT(R"("strip_prefix","prefix":"module.")") "," EXACT(
                     R"("keep_target","pattern":"fc.*")") "]}"},
        PairCase{"BackboneAndOtherHead",
                 kNet,
                 joined(prefixed(kBackbone, "backbone."), kHead),
                 {"wrapper_prefix", "head_changed"},
                 R"({"ops":[)" EXACT(R"("add_prefix","prefix":"backbone.")") "," EXACT(
                     R"("drop","pattern":"backbone.fc.*")") "," EXACT(R"("keep_target","pattern":"head.*")") "]}"},
        PairCase{
            "SubsetUnderPrefix",
            kNet,
            joined(prefixed(kBackbone, "backbone."), kFc),
            {"wrapper_prefix"},
            R"j({"ops":[{"op":"rename","from":"(?!fc\\.)(.*)","to":"backbone.$1","regex":true,"applicability":"exact"}]})j"},
        PairCase{"OnlyCheckpointHasHead",
                 kNet,
                 kBackbone,
                 {"head_changed"},
                 R"({"ops":[)" EXACT(R"("drop","pattern":"fc.*")") "]}"},
        PairCase{"PartsLeftOver",
                 {{"a.weight", {4, 4}}, {"gate.weight", {4, 4}}, {"b.weight", {2, 4}}},
                 {{"a.weight", {4, 4}}, {"b.weight", {2, 4}}},
                 {"different_config"},
                 R"({"ops":[{"op":"drop","pattern":"gate.weight","applicability":"guess"}]})"},
        PairCase{"OtherModel",
                 kNet,
                 {{"embed.weight", {100, 8}}, {"rnn.weight_hh", {32, 8}}},
                 {"different_architecture"},
                 R"({"ops":[]})",
                 29},
        PairCase{"WiderModel",
                 {{"a.weight", {8, 8}}, {"a.bias", {8}}, {"b.weight", {8, 8}}, {"b.bias", {8}}},
                 {{"a.weight", {16, 16}}, {"a.bias", {16}}, {"b.weight", {16, 16}}, {"b.bias", {16}}},
                 {"different_config"},
                 R"({"ops":[]})",
                 4},
        PairCase{"VocabularyIsNoHead",
                 joined({{"embed_tokens.weight", {100, 16}}, {"lm_head.weight", {100, 16}}}, kBackbone),
                 joined({{"embed_tokens.weight", {104, 16}}, {"lm_head.weight", {104, 16}}}, kBackbone),
                 {"vocab_changed"},
                 R"({"ops":[{"op":"resize_rows","pattern":"embed_tokens.weight","rows":104,"applicability":"lossy"},)"
                 R"({"op":"resize_rows","pattern":"lm_head.weight","rows":104,"applicability":"lossy"}]})",
                 0},
        PairCase{"NothingOffered", {}, {}, {}, R"({"ops":[]})"}),
    [](const auto& row) { return row.param.name; });

TEST(WrapperPrefix, CountsItsEvidence) {
  const Report report = diagnose(listing_of(prefixed(kNet, "module."), "a.pth"), listing_of(small_net(4, 5), "b.pth"));
  ASSERT_FALSE(report.causes.empty());
  const Cause& cause = report.causes.front();
  EXPECT_EQ(cause.summary, "every checkpoint key starts with `module.` and no model key does");
  EXPECT_EQ(cause.place, "a.pth, 27 keys");
  EXPECT_EQ(cause.evidence,
            (Names{"0 of 27 keys match as they are, 27 of 27 without the prefix, 25 of 27 then also in shape"}));
  EXPECT_EQ(cause.keys, 27U);
  EXPECT_GT(cause.confidence, 0.9);
  ASSERT_EQ(cause.picture.size(), 2U);
  EXPECT_EQ(cause.picture[0].checkpoint, "module.conv1.weight");
  EXPECT_EQ(cause.picture[0].model, "conv1.weight");
  EXPECT_EQ(cause.picture[0].note, "[16, 3, 3, 3]  same");
}

TEST(WrapperPrefix, RivalsThatAreNoCopiesAreAGuess) {
  const auto both = joined(prefixed(kNet, "left."), prefixed(kNet, "right."));
  const Report guess = diagnose(listing_of(both), listing_of(kNet));
  ASSERT_EQ(guess.plan.ops.size(), 1U);
  EXPECT_EQ(guess.plan.ops[0].applicability, Applicability::Guess);
  EXPECT_FALSE(guess.mapping.at(0).apply);
  const auto copies = joined(prefixed(kNet, "encoder_k."), prefixed(kNet, "encoder_q."));
  const Report settled = diagnose(listing_of(copies), listing_of(kNet));
  ASSERT_EQ(settled.plan.ops.size(), 1U);
  EXPECT_EQ(settled.plan.ops[0].applicability, Applicability::Exact);
  EXPECT_EQ(std::get<StripPrefix>(settled.plan.ops[0].operation).prefix, "encoder_q.");
  EXPECT_GE(settled.mapping.at(0).confidence, 0.95);
  const auto teacher = joined(prefixed(kNet, "student.backbone."), prefixed(kNet, "teacher.backbone."));
  const Report open = diagnose(listing_of(teacher), listing_of(kNet));
  ASSERT_FALSE(open.plan.ops.empty());
  EXPECT_EQ(open.plan.ops[0].applicability, Applicability::Guess);
  EXPECT_EQ(std::get<StripPrefix>(open.plan.ops[0].operation).prefix, "student.backbone.");
  EXPECT_FALSE(open.mapping.at(0).apply);
}

TEST(MergedAdapter, OfSeveralAdaptersAPersonChooses) {
  std::vector<Row> rows{{"base_model.model.l.base_layer.weight", {16, 16}}};
  for (const std::string name : {"default", "style"}) {
    rows.push_back({"base_model.model.l.lora_A." + name + ".weight", {4, 16}});
    rows.push_back({"base_model.model.l.lora_B." + name + ".weight", {16, 4}});
  }
  const Report report = diagnose(listing_of(rows), listing_of({{"l.weight", {16, 16}}}));
  ASSERT_FALSE(report.plan.ops.empty());
  EXPECT_EQ(report.plan.ops[0].applicability, Applicability::Guess);
  EXPECT_FALSE(report.mapping.at(0).apply);
  const auto chosen = std::find_if(report.causes.begin(), report.causes.end(),
                                   [](const Cause& cause) { return !cause.ops.empty() && cause.ops[0] == 0; });
  ASSERT_NE(chosen, report.causes.end());
  EXPECT_NE(chosen->notes.at(0).find("`default`, `style`"), std::string::npos);
  ASSERT_EQ(chosen->help.size(), 2U);
  EXPECT_NE(chosen->help[1].find("merge_lora"), std::string::npos);
}

TEST(Report, BalanceMappingAndCoverageAreOfThePlan) {
  const Report report = diagnose(listing_of(prefixed(kNet, "module.")), listing_of(small_net(4, 5)));
  EXPECT_EQ(report.difference.matched, 0U);
  EXPECT_EQ(report.difference.missing.size(), 27U);
  EXPECT_EQ(report.resolves.missing, 27U);
  EXPECT_EQ(report.resolves.unexpected, 27U);
  EXPECT_EQ(left(report), 0U);
  ASSERT_EQ(report.mapping.size(), 25U);
  EXPECT_EQ(report.mapping[0].to, "conv1.weight");
  EXPECT_EQ(report.mapping[0].from, Names{"module.conv1.weight"});
  EXPECT_EQ(report.mapping[0].how, "rename");
  EXPECT_TRUE(report.mapping[0].apply);
  ASSERT_TRUE(report.coverage.has_value());
  EXPECT_NEAR(report.coverage->tensors, 25.0 / 27, 1e-9);
  ASSERT_EQ(report.coverage->by_module.size(), 4U);
  EXPECT_EQ(report.coverage->by_module[0].parameters, 1.0);
  EXPECT_EQ(report.coverage->by_module[3].module, "fc");
  EXPECT_EQ(report.coverage->by_module[3].parameters, 0.0);
}

TEST(Report, CoverageGoesDownToTheGap) {
  const Report report =
      diagnose(listing_of({{"a.x.weight", {2}}, {"a.y.0.weight", {2}}, {"b.weight", {2}}}),
               listing_of({{"a.x.weight", {2}}, {"a.y.0.weight", {2}}, {"a.y.1.weight", {2}}, {"b.weight", {2}}}));
  Names rows;
  for (const ModuleCoverage& row : report.coverage->by_module) rows.push_back(row.module);
  EXPECT_EQ(rows, (Names{"a", "a.x", "a.y", "a.y.0", "a.y.1", "b"}));
  EXPECT_EQ(report.coverage->by_module[4].parameters, 0.0);
}

TEST(Report, SaysWhatWasNotChecked) {
  const Report report = diagnose(listing_of(kNet), listing_of(kNet));
  EXPECT_EQ(report.proved, Proved::Shapes);
  ASSERT_FALSE(report.not_checked.empty());
  EXPECT_EQ(report.not_checked.front(), "function not checked: the file has no blueprint");
}

TEST(HeadChanged, ASameShapedHeadOfAnotherNameIsOfferedAsARename) {
  const Report report = diagnose(listing_of(kNet), listing_of(small_net(4, 10, "classifier")));
  ASSERT_EQ(ids(report), Names{"head_changed"});
  ASSERT_EQ(report.causes[0].help.size(), 1U);
  EXPECT_NE(report.causes[0].help[0].find("rename"), std::string::npos);
}

// --- containers ------------------------------------------------------------------------------------------------------

CheckpointMaker training_checkpoint(const std::string& path, const std::string& prefix = "",
                                    bool with_optimizer = true) {
  CheckpointMaker maker;
  for (const Row& row : kNet) maker.add({path, prefix + row.name, row.shape, {}, row.dtype});
  if (with_optimizer)
    for (int i = 0; i < 20; ++i)
      for (const char* leaf : {"exp_avg", "exp_avg_sq"})
        maker.add({"optimizer.state." + std::to_string(i), leaf, {16}, {}});
  maker.object("epoch", 12);
  return maker;
}

TEST(NestedContainer, IsUnwrappedAndTheRestIsSaid) {
  const Report report = diagnose(training_checkpoint("state_dict", "module.").listing(), listing_of(kNet));
  EXPECT_EQ(ids(report), (Names{"nested_container", "wrapper_prefix"}));
  EXPECT_EQ(to_json(report.plan), R"({"ops":[)" EXACT(R"("unwrap","path":"state_dict")") "," EXACT(
                                      R"("strip_prefix","prefix":"module.")") "]}");
  EXPECT_EQ(left(report), 0U);
  EXPECT_EQ(report.causes[1].place, "memory.pth, state dict `state_dict`, 27 keys");
  const Cause& cause = report.causes[0];
  ASSERT_FALSE(cause.notes.empty());
  EXPECT_EQ(cause.notes[0], "left out, because no model wants it: `epoch`, `optimizer`");
  EXPECT_EQ(
      cause.evidence[0],
      "0 of 27 model keys stand at the top of the file, 0 of 27 below `state_dict`, 27 of 27 there behind a prefix");
}

TEST(NestedContainer, DeepOnesAreFound) {
  const Report report = diagnose(training_checkpoint("a.b.net").listing(), listing_of(kNet));
  EXPECT_EQ(to_json(report.plan), R"({"ops":[)" EXACT(R"("unwrap","path":"a.b.net")") "]}");
}

Report of_two_state_dicts(const char* first, const char* second) {
  CheckpointMaker maker;
  for (const char* path : {first, second})
    for (const Row& row : kNet) maker.add({path, row.name, row.shape, {}, row.dtype});
  return diagnose(maker.listing(), listing_of(kNet));
}

TEST(NestedContainer, ACopyForTrainingAloneIsNotTheModel) {
  const Report report = of_two_state_dicts("target", "model");
  EXPECT_EQ(to_json(report.plan), R"({"ops":[)" EXACT(R"("unwrap","path":"model")") "]}");
}

TEST(NestedContainer, OfTheWeightsAndACopyThatIsKeptAPersonChooses) {
  const std::pair<const char*, const char*> kPairs[] = {
      {"ema", "model"}, {"teacher", "student"}, {"params_ema", "params"}, {"best_state_dict", "state_dict"}};
  for (const auto& [copy, own] : kPairs) {
    const Report report = of_two_state_dicts(copy, own);
    ASSERT_EQ(report.plan.ops.size(), 1U) << copy;
    EXPECT_EQ(std::get<Unwrap>(report.plan.ops[0].operation).path, own);
    EXPECT_EQ(report.plan.ops[0].applicability, Applicability::Guess) << copy;
    EXPECT_FALSE(report.mapping.at(0).apply) << copy;
    EXPECT_LT(report.mapping.at(0).confidence, 0.95) << copy;
  }
}

TEST(NestedContainer, OfTwoEqualsAPersonChooses) {
  CheckpointMaker maker;
  for (const char* path : {"first", "second"})
    for (const Row& row : kNet) maker.add({path, row.name, row.shape, {}, row.dtype});
  const Report report = diagnose(maker.listing(), listing_of(kNet));
  ASSERT_EQ(report.plan.ops.size(), 1U);
  EXPECT_EQ(report.plan.ops[0].applicability, Applicability::Guess);
}

TEST(NestedContainer, RawNamesOnBothSidesFit) {
  const Listing training = training_checkpoint("state_dict").listing();
  const Report report = diagnose(training, training);
  EXPECT_EQ(report.fits, true);
  EXPECT_TRUE(report.causes.empty());
}

TEST(NestedContainer, ATrainingCheckpointAsTargetMeansItsModel) {
  const Listing target = training_checkpoint("state_dict").listing();
  const Report report = diagnose(listing_of(kNet), target);
  EXPECT_EQ(report.fits, true);
  ASSERT_FALSE(report.notes.empty());
  EXPECT_NE(report.notes[0].find("`state_dict`"), std::string::npos);
  EXPECT_EQ(target_model(listing_of(kNet), target).tensors.size(), kNet.size());
  const Report other = diagnose(listing_of(prefixed(kNet, "module.")), target);
  EXPECT_EQ(ids(other), Names{"wrapper_prefix"});
  EXPECT_EQ(left(other), 0U);
}

// --- dtypes ----------------------------------------------------------------------------------------------------------

Listing one_tensor(DType dtype, std::vector<double> values) {
  return CheckpointMaker()
      .add({"", "w", {4}, std::move(values), dtype})
      .add({"", "n", {}, {1}, DType::Int64})
      .listing();
}

// The matcher takes `patch_embed.backbone.qweight` for `qweight`, and no rename can be done, since both names are
// taken.
TEST(LayoutChanged, IsNotOfATensorThatHasAnothersName) {
  const auto mismatch = [](const std::string& name, const std::string& have, const std::string& want) {
    return "\tsize mismatch for " + name + ": copying a param with shape torch.Size([" + have +
           "]) from checkpoint, the shape in current model is torch.Size([" + want + "]).\n";
  };
  std::vector<Row> rows{{"lora_A.mlp.weight_ih_l0", {}, DType::Float16},
                        {"qweight", {768, 4, 512}, DType::Int64},
                        {"patch_embed.backbone.qweight", {1}, DType::Float16}};
  std::string text = "RuntimeError: Error(s) in loading state_dict for Net:\n" +
                     mismatch("qweight", "768, 4, 512", "") + mismatch("patch_embed.backbone.qweight", "1", "3") +
                     "\tMissing key(s) in state_dict: \"cls_token\". \n"
                     "\tUnexpected key(s) in state_dict: \"lora_A.mlp.weight_ih_l0\". \n";
  for (const char* block : {"blocks.0.", "blocks.1.", "blocks.2."}) {
    rows.push_back({std::string(block) + "qkv.weight_v", {14, 5, 64}, DType::Int64});
    rows.push_back({std::string(block) + "lora_B.weight", {0, 3, 5, 255, 197}});
    text += mismatch(std::string(block) + "lora_B.weight", "0, 3, 5, 255, 197", "65, 5, 4, 512");
  }
  EXPECT_FALSE(explain({text, listing_of(rows), {}}).causes.empty());
}

TEST(DTypeMismatch, MeasuresWhatIsLost) {
  const Report report = diagnose(one_tensor(DType::Float64, {0.1}), one_tensor(DType::Float32, {}));
  EXPECT_EQ(ids(report), Names{"dtype_mismatch"});
  EXPECT_EQ(report.fits, false);
  EXPECT_EQ(report.causes[0].severity, Severity::Warning);
  ASSERT_EQ(report.difference.dtype_changes.size(), 1U);
  EXPECT_EQ(report.difference.dtype_changes[0].loss->changed, 4U);
  EXPECT_EQ(to_json(report.plan), R"({"ops":[{"op":"cast","pattern":"w","dtype":"float32","applicability":"lossy"}]})");
}

TEST(DTypeMismatch, FitsWhereEveryValueSurvives) {
  const Report report = diagnose(one_tensor(DType::Float64, {0.5}), one_tensor(DType::Float32, {}));
  EXPECT_EQ(report.fits, true);
  EXPECT_EQ(report.causes.at(0).severity, Severity::Note);
  EXPECT_EQ(report.plan.ops.at(0).applicability, Applicability::Exact);
}

TEST(DTypeMismatch, WithoutValuesTheTypesDecide) {
  EXPECT_EQ(diagnose(listing_of({{"w", {2}, DType::Float16}}), listing_of({{"w", {2}, DType::Float32}})).fits, true);
  EXPECT_EQ(diagnose(listing_of({{"w", {2}, DType::Float16}}), listing_of({{"w", {2}, DType::BFloat16}})).fits, false);
}

struct HoldsCase {
  DType to, from;
  bool holds;
};
class Holds : public testing::TestWithParam<HoldsCase> {};
TEST_P(Holds, AllValues) { EXPECT_EQ(diagnosis::holds_all(GetParam().to, GetParam().from), GetParam().holds); }
INSTANTIATE_TEST_SUITE_P(
    Types, Holds,
    testing::Values(
        HoldsCase{DType::Float64, DType::Float32, true}, HoldsCase{DType::Float32, DType::Float64, false},
        HoldsCase{DType::Float32, DType::BFloat16, true}, HoldsCase{DType::Float16, DType::BFloat16, false},
        HoldsCase{DType::BFloat16, DType::Float16, false}, HoldsCase{DType::Float16, DType::Float8E5M2, true},
        HoldsCase{DType::Float16, DType::Float8E4M3FN, true}, HoldsCase{DType::Float8E4M3FN, DType::Float8E5M2, false},
        HoldsCase{DType::Float32, DType::Int16, true}, HoldsCase{DType::Float32, DType::Int32, false},
        HoldsCase{DType::Float64, DType::Int32, true}, HoldsCase{DType::Float64, DType::Int64, false},
        HoldsCase{DType::Int64, DType::UInt32, true}, HoldsCase{DType::UInt64, DType::Int8, false},
        HoldsCase{DType::UInt8, DType::Bool, true}, HoldsCase{DType::Bool, DType::UInt8, false},
        HoldsCase{DType::Complex64, DType::Float32, true}, HoldsCase{DType::Float64, DType::Complex64, false},
        HoldsCase{DType::Int64, DType::Float32, false}, HoldsCase{DType::Float32, DType::QInt8, false}));

/// What holds_all promises is what a measurement of all values finds.
TEST(DTypeMismatch, HoldsAllAgreesWithMeasurementOfEveryValue) {
  const DType small[] = {DType::Float16,        DType::BFloat16,       DType::Float8E4M3FN, DType::Float8E5M2,
                         DType::Float8E4M3FNUZ, DType::Float8E5M2FNUZ, DType::Int8,         DType::UInt8,
                         DType::Int16,          DType::UInt16};
  for (const DType from : small)
    for (const DType to : {DType::Float64, DType::Float32, DType::Float16, DType::BFloat16, DType::Float8E4M3FN,
                           DType::Float8E5M2, DType::Int32, DType::Int16, DType::UInt8}) {
      if (from == to) continue;
      const auto width = static_cast<std::size_t>(dtype_bytes(from));
      const std::size_t count = width == 1 ? 256 : 65'536;
      std::vector<std::byte> bytes(count * width);
      for (std::size_t i = 0; i < count; ++i) {
        bytes[i * width] = static_cast<std::byte>(i & 255U);
        if (width == 2) bytes[i * width + 1] = static_cast<std::byte>(i >> 8U);
      }
      const CastLoss loss = cast_loss(make_tensor(from, {static_cast<std::int64_t>(count)}, bytes), to);
      const bool is_lossless = loss.changed + loss.overflow + loss.underflow + loss.nan == 0;
      EXPECT_TRUE(is_lossless || !diagnosis::holds_all(to, from)) << dtype_name(from) << " to " << dtype_name(to);
    }
}

// --- objects and files -----------------------------------------------------------------------------------------------

TEST(WrongObject, AnOptimizersStateIsNoModel) {
  CheckpointMaker maker;
  for (int i = 0; i < 9; ++i)
    maker.add({"state." + std::to_string(i), "exp_avg", {16}, {}}).add({"state." + std::to_string(i), "step", {}, {}});
  const Report report = diagnose(maker.listing(), listing_of(kNet));
  ASSERT_FALSE(report.causes.empty());
  EXPECT_EQ(report.causes[0].id, "wrong_object");
  EXPECT_EQ(report.fits, false);
}

TEST(WrongObject, NoTensorsAndOneTensor) {
  EXPECT_EQ(ids(diagnose(CheckpointMaker().object("epoch", 1).listing(), listing_of(kNet))), Names{"wrong_object"});
  EXPECT_EQ(ids(diagnose(CheckpointMaker().add({"", "", {3}, {}}).listing(), listing_of(kNet))), Names{"wrong_object"});
}

TEST(WrongObject, AnArchiveThatFitsIsANote) {
  CheckpointMaker maker;
  for (const Row& row : kNet) maker.add({"", row.name, row.shape, {}, row.dtype});
  maker.format(Format::TorchScript).kind("", ContainerKind::Module, "Net");
  const Report fits = diagnose(maker.listing(), listing_of(kNet));
  EXPECT_EQ(fits.fits, true);
  EXPECT_TRUE(fits.causes.empty());
  EXPECT_FALSE(fits.notes.empty());
  const Report differs = diagnose(maker.listing(), listing_of(prefixed(kNet, "net.")));
  EXPECT_EQ(ids(differs), (Names{"wrapper_prefix", "wrong_object"}));
  EXPECT_EQ(differs.causes[1].severity, Severity::Note);
}

TEST(WrongObject, APickledModuleThatFitsIsANote) {
  CheckpointMaker maker;
  for (const Row& row : kNet) maker.add({"", row.name, row.shape, {}, row.dtype});
  maker.kind("", ContainerKind::Module, "net.Net");
  const Report report = diagnose(maker.listing(), listing_of(kNet));
  EXPECT_EQ(report.fits, true);
  ASSERT_EQ(report.notes.size(), 1U);
  EXPECT_NE(report.notes[0].find("`net.Net`"), std::string::npos);
}

struct KindCase {
  const char* name;
  std::string bytes;
  const char* cause;
  const char* words;
};
class Kinds : public testing::TestWithParam<KindCase> {};

TEST_P(Kinds, AreToldByContent) {
  const std::string path = testing::TempDir() + "tenon_kind_" + GetParam().name + ".pth";
  std::ofstream(path, std::ios::binary) << GetParam().bytes;
  const Report report = diagnose_unreadable(path, Error(Code::Corrupt, {path, {}, {}, {}}, "no reader takes it"));
  std::remove(path.c_str());
  ASSERT_FALSE(report.causes.empty());
  EXPECT_EQ(report.causes[0].id, GetParam().cause);
  EXPECT_NE(report.causes[0].summary.find(GetParam().words), std::string::npos) << report.causes[0].summary;
  EXPECT_EQ(report.fits, false);
  EXPECT_FALSE(report.difference.matched.has_value());
}

INSTANTIATE_TEST_SUITE_P(
    Files, Kinds,
    testing::Values(
        KindCase{"Empty", "", "corrupt_file", "empty"},
        KindCase{"Lfs", "version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n", "corrupt_file",
                 "git-lfs"},
        KindCase{"Html", "\n<!DOCTYPE html><html><head><title>Quota exceeded</title>", "corrupt_file", "HTML"},
        KindCase{"Zeros", std::string(9'000, '\0'), "corrupt_file", "zeros"},
        KindCase{"CutZip", "PK\x03\x04" + std::string(500, 'x'), "corrupt_file", "zip"},
        KindCase{"CutSafetensors", std::string("\x40\x42\x0f\0\0\0\0\0{\"a\": {", 15), "corrupt_file", "safetensors"},
        KindCase{"Gguf", "GGUF\x03" + std::string(40, 'x'), "corrupt_file", "GGUF"},
        KindCase{"Hdf5", "\x89HDF\r\n\x1a\n" + std::string(40, 'x'), "wrong_object", "HDF5"},
        KindCase{"Text", "import torch\nprint(1)\n", "wrong_object", "text"},
        KindCase{"Unknown", "\x80\x02}q" + std::string(30, '\x01'), "corrupt_file", "contradicts"}),
    [](const auto& row) { return row.param.name; });

TEST(Unreadable, AMissingFileIsNoCause) {
  const Report report =
      diagnose_unreadable("/nowhere/at/all.pth", Error(Code::NotFound, {}, "no such file", {}, {}, "check the path"));
  EXPECT_TRUE(report.causes.empty());
  EXPECT_EQ(report.advice, Names{"check the path"});
}

// --- texts -----------------------------------------------------------------------------------------------------------

struct ExplainCase {
  const char* name;
  const char* text;
  Names causes;
  std::optional<bool> fits;
};
class Explained : public testing::TestWithParam<ExplainCase> {};

TEST_P(Explained, NamesTheCause) {
  const Report report = explain({GetParam().text, {}, {}});
  Names first = ids(report);  // a text leaves others open: the first one counts
  if (first.size() > 1) first.resize(1);
  EXPECT_EQ(first, GetParam().causes);
  EXPECT_EQ(report.fits, GetParam().fits);
  EXPECT_FALSE(report.difference.matched.has_value());
  EXPECT_FALSE(report.coverage.has_value());
}

INSTANTIATE_TEST_SUITE_P(
    Texts, Explained,
    testing::Values(
        ExplainCase{"Wrapper",
                    "Missing key(s) in state_dict: \"a.weight\", \"a.bias\".\nUnexpected key(s) in state_dict: "
                    "\"module.a.weight\", \"module.a.bias\".",
                    {"wrapper_prefix"},
                    false},
        ExplainCase{"Nested",
                    "Missing key(s) in state_dict: \"a.weight\".\nUnexpected key(s) in state_dict: \"epoch\", "
                    "\"state_dict\", \"optimizer\".",
                    {"nested_container"},
                    false},
        ExplainCase{"Head",
                    "size mismatch for fc.weight: copying a param with shape torch.Size([1000, 512]) from checkpoint, "
                    "the shape in current model is "
                    "torch.Size([10, 512]).\nsize mismatch for fc.bias: copying a param with shape torch.Size([1000]) "
                    "from checkpoint, the shape in "
                    "current model is torch.Size([10]).",
                    {"head_changed"},
                    false},
        ExplainCase{"Cut",
                    "PytorchStreamReader failed reading zip archive: failed finding central directory",
                    {"corrupt_file"},
                    false},
        ExplainCase{"Html", "_pickle.UnpicklingError: invalid load key, '<'.", {"corrupt_file"}, false},
        ExplainCase{
            "Jit", "PytorchStreamReader failed locating file constants.pkl: file not found", {"wrong_object"}, false},
        ExplainCase{"Optimizer",
                    "Missing key(s) in state_dict: \"a.weight\".\nUnexpected key(s) in state_dict: \"state\", "
                    "\"param_groups\".",
                    {"wrong_object"},
                    false},
        ExplainCase{"KeyError", "KeyError: 'state_dict'", {"nested_container"}, false},
        ExplainCase{"Nothing", "all went well", {}, std::nullopt}, ExplainCase{"Empty", "", {}, std::nullopt}),
    [](const auto& row) { return row.param.name; });

// The other layers of the part are not shown: a pattern above the layer's own module would name them, too.
TEST(Explain, KeepsNoMoreThanTheLayersThatAreShown) {
  const Report report = explain(
      {"size mismatch for roi_head.bbox_head.0.fc_cls.weight: copying a param with shape torch.Size([81, 1024]) from "
       "checkpoint, the shape in current model is torch.Size([4, 1024]).\nsize mismatch for "
       "roi_head.bbox_head.0.fc_cls.bias: copying a param with shape torch.Size([81]) from checkpoint, the shape in "
       "current model is torch.Size([4]).",
       {},
       {}});
  EXPECT_EQ(to_json(report.plan),
            R"({"ops":[)" EXACT(R"("keep_target","pattern":"roi_head.bbox_head.0.fc_cls.*")") "]}");
}

// Prose that tells a shape and one name that is absent: the name is not the first of many, and there may be none.
std::vector<std::string> causes_of(const char* text) {
  std::vector<std::string> ids;
  for (const Cause& cause : explain({text, {}, {}}).causes) ids.push_back(cause.id);
  return ids;
}

TEST(Explain, TellsNumbersFromDevicesAndDevicesFromDisks) {
  const auto both_on_cuda = causes_of(
      "RuntimeError: Input type (torch.cuda.FloatTensor) and weight type (torch.cuda.HalfTensor) should be the same");
  ASSERT_FALSE(both_on_cuda.empty());
  EXPECT_EQ(both_on_cuda[0], "dtype_mismatch");
  const auto on_two = causes_of(
      "RuntimeError: Input type (torch.FloatTensor) and weight type (torch.cuda.FloatTensor) should be the same");
  ASSERT_FALSE(on_two.empty());
  EXPECT_EQ(on_two[0], "device_mismatch");
  for (const std::string& id : causes_of("torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2.00 GiB"))
    EXPECT_NE(id, "save_io");
}

TEST(Explain, KnowsThatADictIsTheStateDict) {
  const Report report = explain({"AttributeError: 'dict' object has no attribute 'state_dict'", {}, {}});
  for (const Cause& cause : report.causes)
    for (const std::string& help : cause.help) EXPECT_EQ(help.find("pass its state_dict()"), std::string::npos);
}

TEST(DeviceMismatch, TensorsWithoutValuesDoNotFit) {
  const Listing file = list(test::MemoryCheckpoint().add_meta("a.weight", DType::Float32, {2, 2}).checkpoint());
  const Report report = diagnose(file, listing_of({{"a.weight", {2, 2}}}));
  EXPECT_EQ(report.fits, false);
  ASSERT_FALSE(report.causes.empty());
  EXPECT_EQ(report.causes[0].id, "device_mismatch");
}

TEST(HeadChanged, IsNoLayerOfEqualShapesUnderAnotherName) {
  const Report report = diagnose(listing_of({{"ff.w1.weight", {16, 8}}, {"ff.w3.weight", {8, 16}}}),
                                 listing_of({{"ff.w1.weight", {16, 8}}, {"ff.down.weight", {8, 16}}}));
  for (const Cause& cause : report.causes) EXPECT_NE(cause.id, "head_changed");
}

TEST(Explain, TellsAShapeBesideANameThatIsAbsent) {
  for (const char* text :
       {"[4) e.w (6]\n_quant.absent", "shape of conv.weight is [4], expected [6]\nencoder.scale is absent",
        "conv.weight has shape [4] and not [6]\nnot found: encoder.scale\n"}) {
    const Report report = explain({text, {}, {}});
    EXPECT_EQ(report.difference.mismatched.size(), 1U) << text;
    EXPECT_FALSE(report.causes.empty()) << text;
  }
}

TEST(Explain, FilesDecideOverTheText) {
  const Report report = explain({"KeyError: 'unexpected key \"x\" in state_dict'", listing_of(kNet), listing_of(kNet)});
  EXPECT_EQ(report.fits, true);
  EXPECT_FALSE(report.notes.empty());
}

TEST(Explain, OneFileAndTheTextMakeTheOtherSide) {
  std::string text = "Missing key(s) in state_dict: ";
  for (const Row& row : kNet) text += "\"" + row.name + "\", ";
  text += "\nUnexpected key(s) in state_dict: ";
  for (const Row& row : kNet) text += "\"module." + row.name + "\", ";
  const Report report = explain({text, listing_of(prefixed(kNet, "module.")), {}});
  EXPECT_EQ(ids(report), Names{"wrapper_prefix"});
  EXPECT_EQ(report.difference.matched, 0U);
  EXPECT_EQ(left(report), 0U);
}

TEST(KnownCauses, HaveTheirPages) {
  for (const CauseInfo& info : known_causes()) {
    EXPECT_FALSE(info.title.empty());
    EXPECT_NE(info.page.find(info.id), std::string_view::npos) << info.id;
  }
}

// --- size ------------------------------------------------------------------------------------------------------------

TEST(Diagnose, AHundredThousandTensorsAreNoTrouble) {
  std::vector<Row> rows;
  for (int i = 0; i < 100'000; ++i)
    rows.push_back({"layers." + std::to_string(i / 8) + ".part" + std::to_string(i % 8) + ".weight", {8, 8}});
  for (const auto& [have, want] : {std::pair{prefixed(rows, "module."), rows},
                                   {rows, joined(prefixed(rows, "backbone."), kHead)},
                                   {rows, prefixed(rows, "a.b.")},
                                   {prefixed(rows, "x."), prefixed(rows, "y.")}}) {
    const Listing checkpoint = listing_of(have), target = listing_of(want);
    EXPECT_FALSE(diagnose(checkpoint, target).causes.empty());
  }
}

TEST(Diagnose, ADoraIsNotMergedAsALora) {
  std::vector<Row> adapter = {{"base_model.model.q.lora_A.weight", {2, 8}},
                              {"base_model.model.q.lora_B.weight", {4, 2}}};
  const auto target = listing_of({{"q.weight", {4, 8}}});
  const auto merges = [&] {
    const Plan plan = diagnose(listing_of(adapter), target).plan;
    return std::any_of(plan.ops.begin(), plan.ops.end(),
                       [](const Op& op) { return std::holds_alternative<MergeLora>(op.operation); });
  };
  EXPECT_TRUE(merges());
  adapter.push_back({"base_model.model.q.lora_magnitude_vector", {4}});
  EXPECT_FALSE(merges());
}

}  // namespace
}  // namespace tenon
