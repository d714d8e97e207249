// Laws of the diagnosis over random listings: what it plans leads where it says, and it never claims what does not fit.
#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <random>
#include <set>

#include <tenon/diagnose.hpp>

#include "diagnose/text/text_facts.hpp"
#include "support/listings.hpp"

namespace tenon {
namespace {

using test::CheckpointMaker;
using test::listing_of;
using test::Row;

class Dice {
 public:
  explicit Dice(std::uint64_t seed) : random_(seed) {}
  int roll(int sides) { return static_cast<int>(random_() % static_cast<std::uint64_t>(sides)); }
  template <class T>
  const T& pick(const std::vector<T>& choices) {
    return choices[static_cast<std::size_t>(roll(static_cast<int>(choices.size())))];
  }

 private:
  std::mt19937_64 random_;
};

/// A model of a stem, some blocks and a head.
std::vector<Row> random_model(Dice& dice, std::int64_t classes) {
  const std::int64_t width = 8 + dice.roll(4) * 8;
  const std::string part = dice.pick<std::string>({"layer", "stages.", "blocks.", "h."});
  std::vector<Row> rows{{"stem.weight", {width, 3, 3, 3}}};
  const int blocks = 2 + dice.roll(6);
  for (int i = 0; i < blocks; ++i) {
    const std::string block = part + std::to_string(i) + ".";
    rows.push_back({block + "conv.weight", {width, width, 3, 3}});
    if (dice.roll(2) == 0) rows.push_back({block + "conv.bias", {width}});
    for (const char* leaf : {"norm.weight", "norm.bias"}) rows.push_back({block + leaf, {width}});
  }
  rows.push_back({"fc.weight", {classes, width}});
  rows.push_back({"fc.bias", {classes}});
  return rows;
}

std::string random_prefix(Dice& dice) {
  std::string prefix;
  for (int levels = 1 + dice.roll(3); levels > 0; --levels)
    prefix += dice.pick<std::string>({"module", "_orig_mod", "backbone", "net", "x9", "0", "encoder"}) + ".";
  return prefix;
}

std::map<std::string, Shape> shapes(const Listing& listing) {
  std::map<std::string, Shape> result;
  for (const TensorSpec& spec : listing.tensors) result.emplace(spec.name, *spec.shape);
  return result;
}

/// Names that a plan leads to, with what it keeps from the target.
std::set<std::string> planned_names(const Report& report, const Listing& checkpoint, const Listing& target) {
  std::set<std::string> names;
  const Rehearsal rehearsal = rehearse(report.plan, checkpoint);
  for (const Planned& planned : rehearsal.tensors) names.insert(planned.spec.name);
  const Rehearsal kept = rehearse(Plan{}, target);
  for (const Planned& planned : kept.tensors) {
    bool is_kept = false;
    for (const Op& op : report.plan.ops)
      if (const auto* keep = std::get_if<KeepTarget>(&op.operation)) {
        const Rehearsal without = rehearse({{{*keep}}}, listing_of({{planned.spec.name, {}}}));
        is_kept = is_kept || without.tensors.empty();
      }
    if (is_kept) names.insert(planned.spec.name);
  }
  return names;
}

/// `apply: true` means: this very tensor, of this very shape.
void expect_honest_mapping(const Report& report, const Listing& checkpoint, const Listing& target) {
  const auto have = shapes(checkpoint), want = shapes(target);
  for (const Mapped& row : report.mapping) {
    ASSERT_EQ(row.from.size(), 1U);
    ASSERT_TRUE(have.count(row.from[0]) == 1 && want.count(row.to) == 1);
    EXPECT_TRUE(!row.apply || have.at(row.from[0]) == want.at(row.to)) << row.to;
  }
}

class Seeds : public testing::TestWithParam<int> {};

TEST_P(Seeds, IdenticalListingsFit) {
  Dice dice(static_cast<std::uint64_t>(GetParam()));
  const Listing listing = listing_of(random_model(dice, 10));
  const Report report = diagnose(listing, listing);
  EXPECT_EQ(report.fits, true);
  EXPECT_TRUE(report.causes.empty());
  EXPECT_TRUE(report.plan.ops.empty());
  EXPECT_EQ(report.mapping.size(), listing.tensors.size());
}

TEST_P(Seeds, PrefixesHeadsAndContainersAreUndone) {
  Dice dice(static_cast<std::uint64_t>(GetParam()) + 1'000);
  const std::vector<Row> model = random_model(dice, 10);
  std::vector<Row> target_rows = model;
  const bool other_head = dice.roll(2) == 0;
  if (other_head)
    for (Row& row : target_rows)
      if (row.name.starts_with("fc.")) row.shape[0] = 3;
  const int kind = dice.roll(3);
  const std::string prefix = random_prefix(dice);
  const std::vector<Row> saved = kind == 0 ? test::prefixed(model, prefix) : model;
  if (kind == 1) target_rows = test::prefixed(target_rows, prefix);
  const Listing target = listing_of(target_rows);
  Listing checkpoint = listing_of(saved);
  const bool nested = dice.roll(2) == 0;
  if (nested) {
    CheckpointMaker maker;
    const std::string path = dice.pick<std::string>({"state_dict", "model", "a.b"});
    for (const Row& row : saved) maker.add({path, row.name, row.shape, {}, row.dtype});
    if (dice.roll(2) == 0) maker.add({"optimizer.state.0", "exp_avg", {4}, {}}).object("epoch", 3);
    checkpoint = maker.listing();
  }
  const Report report = diagnose(checkpoint, target);
  const bool differs = other_head || kind != 2 || nested;
  EXPECT_EQ(report.fits, !differs);
  EXPECT_EQ(report.leaves.missing + report.leaves.unexpected + report.leaves.mismatched, 0U) << to_json(report.plan);
  std::set<std::string> wanted;
  for (const Row& row : target_rows) wanted.insert(row.name);
  EXPECT_EQ(planned_names(report, checkpoint, target), wanted) << to_json(report.plan);
  expect_honest_mapping(report, checkpoint, target);
  for (const Op& op : report.plan.ops) EXPECT_EQ(op.applicability, Applicability::Exact);
}

TEST_P(Seeds, UnrelatedAndMutatedListingsAreNeverClaimed) {
  Dice dice(static_cast<std::uint64_t>(GetParam()) + 2'000);
  std::vector<Row> a = random_model(dice, 10), b = dice.roll(2) == 0 ? random_model(dice, 7) : a;
  for (int i = 0; i < 4; ++i) {
    Row& row = b[static_cast<std::size_t>(dice.roll(static_cast<int>(b.size())))];
    if (dice.roll(2) == 0)
      row.name += "x";
    else
      row.shape.push_back(2);
  }
  const Listing checkpoint = listing_of(dice.roll(2) == 0 ? test::prefixed(a, "m.") : a), target = listing_of(b);
  const Report report = diagnose(checkpoint, target);
  expect_honest_mapping(report, checkpoint, target);
  EXPECT_EQ(report.fits, false);
  // What it counts is what a rehearsal gives.
  const auto names = planned_names(report, checkpoint, target);
  std::uint64_t missing = 0;
  for (const TensorSpec& spec : target.tensors) missing += names.count(spec.name) == 0 ? 1 : 0;
  EXPECT_EQ(missing, report.leaves.missing);
  for (const Cause& cause : report.causes) {
    EXPECT_GE(cause.confidence, 0);
    EXPECT_LE(cause.confidence, 1);
    for (const std::size_t op : cause.ops) EXPECT_LT(op, report.plan.ops.size());
  }
  EXPECT_EQ(to_json(parse_plan(to_json(report.plan))), to_json(report.plan));
}

/// The same pair told as PyTorch would print it leads to the same first cause.
TEST_P(Seeds, ATextTellsTheSameStory) {
  Dice dice(static_cast<std::uint64_t>(GetParam()) + 3'000);
  const std::vector<Row> model = random_model(dice, 10);
  const std::string prefix = random_prefix(dice);
  std::string text = "RuntimeError: Error(s) in loading state_dict for Net:\n\tMissing key(s) in state_dict: ";
  for (const Row& row : model) text += "\"" + row.name + "\", ";
  text += "\n\tUnexpected key(s) in state_dict: ";
  for (const Row& row : model) text += "\"" + prefix + row.name + "\", ";
  const Report report = explain({text, {}, {}});
  ASSERT_FALSE(report.causes.empty());
  EXPECT_EQ(report.causes[0].id, "wrapper_prefix");
  ASSERT_EQ(report.plan.ops.size(), 1U);
  EXPECT_EQ(std::get<StripPrefix>(report.plan.ops[0].operation).prefix, prefix);
}

INSTANTIATE_TEST_SUITE_P(Random, Seeds, testing::Range(0, 120));

// --- texts: any bytes get an answer, and in time that grows with their length

const std::vector<std::string> kShreds{"Missing key(s) in state_dict: ",
                                       "Unexpected key(s) in state_dict: ",
                                       "size mismatch for ",
                                       ": copying a param with shape torch.Size([",
                                       "]) from checkpoint, the shape in current model is torch.Size([",
                                       "\"",
                                       "'",
                                       ", ",
                                       "...",
                                       "[",
                                       "]",
                                       "{",
                                       "}",
                                       "(",
                                       ")",
                                       "|",
                                       "\n",
                                       "\r\n",
                                       "\x1b[31m",
                                       "\xe2\x80\x9c",
                                       "\xff",
                                       "module.",
                                       "layers.0.",
                                       "lora_A",
                                       "num_batches_tracked",
                                       "weight",
                                       "bias",
                                       ".",
                                       "0",
                                       "9999999999999999999999",
                                       "KeyError: ",
                                       "unexpected keys: ",
                                       "missing keys: ",
                                       " expected shape ",
                                       ": found shape ",
                                       "| key | expected | loaded |",
                                       "No match: ",
                                       " to the model due to incompatible shapes: ",
                                       "qkv",
                                       "fc.",
                                       "ema.",
                                       "pos_embed",
                                       "Can't pickle local object '",
                                       "Some tensors share memory",
                                       "were not used when initializing X: ['",
                                       "key | Status |",
                                       "a | MISMATCH | ckpt: [1] vs model: [2]"};

std::string random_text(Dice& dice) {
  std::string text;
  for (int parts = dice.roll(60); parts > 0; --parts) {
    text += dice.pick(kShreds);
    if (dice.roll(8) == 0) text += static_cast<char>(dice.roll(256));
  }
  return text;
}

TEST(AnyText, GetsAnAnswerThatHoldsTogether) {
  Dice dice(20);
  for (int round = 0; round < 4'000; ++round) {
    const std::string text = random_text(dice);
    const Report report = explain({text, {}, {}});
    ASSERT_LE(report.causes.size(), 5U) << text;
    for (const Cause& cause : report.causes) {
      ASSERT_FALSE(cause.summary.empty()) << cause.id << text;
      ASSERT_FALSE(cause.evidence.empty()) << cause.id << text;
      ASSERT_GT(cause.confidence, 0) << cause.id << text;
      ASSERT_LE(cause.confidence, 1) << cause.id << text;
      for (const std::size_t op : cause.ops) ASSERT_LT(op, report.plan.ops.size()) << text;
    }
  }
}

// A text may put any two shapes side by side.
TEST(AnyText, ShapesOfUnequalRanksGetAnAnswer) {
  const std::vector<std::string> shapes{
      "", "65", "9, 64", "1, 197, 768", "64, 3, 7, 7", "8, 3, 2, 14, 14", "1, 9223372036854775807, 768"};
  for (const char* module :
       {"lm_head", "fc", "conv1", "embed", "pos_embed", "attn.qkv", "patch_embed.proj", "blocks.0"})
    for (const char* leaf : {"weight", "bias", "relative_position_bias_table"})
      for (const std::string& have : shapes)
        for (const std::string& want : shapes) {
          const Report report =
              explain({std::string("RuntimeError: size mismatch for ") + module + "." + leaf +
                           ": copying a param with shape torch.Size([" + have +
                           "]) from checkpoint, the shape in current model is torch.Size([" + want + "]).",
                       {},
                       {}});
          EXPECT_EQ(report.causes.empty(), have == want) << module << leaf << have << want;
        }
}

/// The same failure in other clothes has the same causes.
std::string in_crlf(std::string text) {
  std::string result;
  for (const char c : text) result += c == '\n' ? std::string("\r\n") : std::string(1, c);
  return result;
}

std::string in_a_log(const std::string& text) {
  return "2024-05-01 10:00:00,123 - INFO - loading\n\x1b[31mTraceback (most recent call last):\x1b[0m\n  File "
         "\"a.py\", line 3\n" +
         text + "\n[end]\n";
}

std::string with_typographic_quotes(const std::string& text) {
  std::string result;
  bool is_open = false;
  for (const char c : text) {
    if (c != '"') {
      result += c;
      continue;
    }
    is_open = !is_open;
    result += is_open ? "\xe2\x80\x9c" : "\xe2\x80\x9d";
  }
  return result;
}

TEST(AnyText, ClothesDoNotChangeTheCauses) {
  const std::vector<std::string> texts{
      "Missing key(s) in state_dict: \"a.weight\", \"a.bias\". \n\tUnexpected key(s) in state_dict: "
      "\"module.a.weight\", \"module.a.bias\". ",
      "Unexpected key(s) in state_dict: \"generator_ema.a.weight\", \"generator_ema.b.weight\". ",
      "size mismatch for fc.weight: copying a param with shape torch.Size([10, 4]) from checkpoint, the shape in "
      "current model is torch.Size([5, 4]).",
      "RuntimeError: Some tensors share memory, this will lead to duplicate memory on disk"};
  const auto ids_of = [](const std::string& text) {
    std::vector<std::string> ids;
    for (const Cause& cause : explain({text, {}, {}}).causes) ids.push_back(cause.id);
    return ids;
  };
  for (const std::string& text : texts) {
    const auto ids = ids_of(text);
    EXPECT_FALSE(ids.empty()) << text;
    for (const std::string& other : {in_crlf(text), in_a_log(text), with_typographic_quotes(text)})
      EXPECT_EQ(ids_of(other), ids) << other;
  }
}

/// A hundred thousand names, whatever rule looks at them: the time is that of reading them, not its square.
TEST(AnyText, LongListsTakeNoLongTime) {
  constexpr int kNames = 50'000;
  for (const std::string& word :
       {std::string("ema"), std::string("head"), std::string("layers."), std::string("lora_A.")}) {
    std::string text = "Unexpected key(s) in state_dict: ";
    for (int i = 0; i < kNames; ++i) text += "\"" + word + std::to_string(i) + ".weight\", ";
    EXPECT_EQ(explain({text, {}, {}}).difference.unexpected.size(), static_cast<std::size_t>(kNames));
  }
}

}  // namespace
}  // namespace tenon
