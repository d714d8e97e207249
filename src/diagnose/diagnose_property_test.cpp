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

}  // namespace
}  // namespace tenon
