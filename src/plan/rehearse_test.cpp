// What operations make of names and shapes, and what they refuse.
#include <gtest/gtest.h>

#include <tenon/error.hpp>
#include <tenon/plan.hpp>

#include "plan/name_template.hpp"
#include "support/listings.hpp"

namespace tenon {
namespace {

using test::listing_of;
using test::Row;
using Rows = std::vector<Row>;

Rows rows_of(const Rehearsal& rehearsal) {
  Rows rows;
  for (const Planned& planned : rehearsal.tensors)
    rows.push_back(
        {planned.spec.name, planned.spec.shape.value_or(Shape{-1}), planned.spec.dtype.value_or(DType::String)});
  return rows;
}

std::string text(const Rows& rows) {
  std::string all;
  for (const Row& row : rows) {
    all += row.name + " " + std::string(dtype_name(row.dtype)) + " [";
    for (const std::int64_t extent : row.shape) all += std::to_string(extent) + ",";
    all += "] ";
  }
  return all;
}

struct ShapeCase {
  const char* name;
  Operation operation;
  Rows before, after;
};
class Shapes : public testing::TestWithParam<ShapeCase> {};

TEST_P(Shapes, ComeOutAsSaid) {
  const Rehearsal rehearsal = rehearse({{{GetParam().operation}}}, listing_of(GetParam().before));
  EXPECT_EQ(text(rows_of(rehearsal)), text(GetParam().after));
}

const Split kQkv{"qkv", {"q", "k", "v"}};

INSTANTIATE_TEST_SUITE_P(
    Rehearsal, Shapes,
    testing::Values(
        ShapeCase{"Transpose", Transpose{"w", {-1, 0}}, {{"w", {2, 3}}}, {{"w", {3, 2}}}},
        ShapeCase{"KerasKernel", Transpose{"k", {3, 2, 0, 1}}, {{"k", {3, 5, 8, 16}}}, {{"k", {16, 8, 3, 5}}}},
        ShapeCase{"Squeeze",
                  Reshape{"*", {0, 0}},
                  {{"a", {4, 2, 1, 1}}, {"b", {8, 3, 1, 1}}},
                  {{"a", {4, 2}}, {"b", {8, 3}}}},
        ShapeCase{"Unsqueeze", Reshape{"a", {0, 0, 1, -1}}, {{"a", {4, 2}}}, {{"a", {4, 2, 1, 1}}}},
        ShapeCase{"ReshapeEmpty", Reshape{"a", {0, 7}}, {{"a", {0, 7}}}, {{"a", {0, 7}}}},
        ShapeCase{"Reorder", Reorder{"w", 1, {-1, 3}, {1, 0}}, {{"w", {2, 12}}}, {{"w", {2, 12}}}},
        ShapeCase{"SplitThird",
                  kQkv,
                  {{"x", {1}}, {"qkv", {9, 2}}, {"y", {1}}},
                  {{"x", {1}}, {"q", {3, 2}}, {"k", {3, 2}}, {"v", {3, 2}}, {"y", {1}}}},
        ShapeCase{"SplitGrouped",
                  Split{"w", {"q", "k", "v"}, -1, {8, 2, 2}, 2},
                  {{"w", {5, 12}}},
                  {{"q", {5, 8}}, {"k", {5, 2}}, {"v", {5, 2}}}},
        ShapeCase{"SplitRegex",
                  Split{R"((\w+)\.kv)", {"$1.k", "$1.v"}, 0, {}, 1, true},
                  {{"a.kv", {4}}, {"b.kv", {6}}},
                  {{"a.k", {2}}, {"a.v", {2}}, {"b.k", {3}}, {"b.v", {3}}}},
        ShapeCase{"FuseOrder",
                  Fuse{{"v", "q"}, "vq", 0},
                  {{"q", {2, 4}}, {"x", {1}}, {"v", {3, 4}}},
                  {{"vq", {5, 4}}, {"x", {1}}}},
        ShapeCase{"FuseRegex",
                  Fuse{{R"((.*)\.k)", R"((.*)\.v)"}, "$1.kv", 0, 1, true},
                  {{"a.k", {2}}, {"a.v", {2}}, {"b.v", {3}}, {"b.k", {3}}},
                  {{"a.kv", {4}}, {"b.kv", {6}}}},
        ShapeCase{"Tie", Tie{"e", "h"}, {{"e", {2}}, {"f", {1}}}, {{"e", {2}}, {"h", {2}}, {"f", {1}}}},
        ShapeCase{"ResizeClassToken", Resize{"p", {0, 50, 0}}, {{"p", {1, 17, 8}}}, {{"p", {1, 50, 8}}}},
        ShapeCase{"ResizeTwoTokens", Resize{"p", {1, 27, 8}}, {{"p", {1, 18, 8}}}, {{"p", {1, 27, 8}}}},
        ShapeCase{"ResizeBiases", Resize{"t", {225, 0}}, {{"t", {169, 4}}}, {{"t", {225, 4}}}},
        ShapeCase{"ResizeKernel", Resize{"k", {0, 0, 16, 16}}, {{"k", {8, 3, 14, 14}}}, {{"k", {8, 3, 16, 16}}}},
        ShapeCase{"ResizeSame", Resize{"p", {0, 0}}, {{"p", {7, 8}}}, {{"p", {7, 8}}}},
        ShapeCase{"ResizeRows", ResizeRows{"e", 12}, {{"e", {10, 4}}}, {{"e", {12, 4}}}},
        ShapeCase{"Inflate", InflateChannels{"s", 9}, {{"s", {8, 3, 7, 7}}}, {{"s", {8, 9, 7, 7}}}},
        ShapeCase{"SumOfStem", InflateChannels{"s", 1}, {{"s", {8, 12, 3, 3}}}, {{"s", {8, 4, 3, 3}}}},
        ShapeCase{
            "Dequantize",
            Dequantize{"w"},
            {{"w", {2, 2}, DType::QInt8}, {"w.<scales>", {2}, DType::Float64}, {"w.<zero_points>", {2}, DType::Int64}},
            {{"w", {2, 2}}}},
        ShapeCase{"DequantizeBlocks", Dequantize{"w"}, {{"w", {2, 256}, DType::Q4_K}}, {{"w", {2, 256}}}},
        ShapeCase{"MergeLora",
                  MergeLora{"(.*)A", "(.*)B", "$1w", "", "", 2.0},
                  {{"xw", {6, 4}, DType::BFloat16}, {"xA", {2, 4}}, {"xB", {6, 2}}},
                  {{"xw", {6, 4}, DType::BFloat16}}},
        ShapeCase{"MergeFoldedConv1D",
                  MergeLora{"(.*)A", "(.*)B", "$1w", "", "", 2.0, true},
                  {{"xA", {2, 4}}, {"xB", {6, 2}}, {"xw", {4, 6}}},
                  {{"xw", {4, 6}}}},
        ShapeCase{"FoldBatchNorm",
                  FoldBatchNorm{"c", "b"},
                  {{"c.weight", {4, 2, 3, 3}},
                   {"b.weight", {4}},
                   {"b.bias", {4}},
                   {"b.running_mean", {4}},
                   {"b.running_var", {4}},
                   {"b.num_batches_tracked", {}, DType::Int64}},
                  {{"c.weight", {4, 2, 3, 3}}, {"c.bias", {4}}}},
        ShapeCase{"FoldWeightNorm",
                  FoldWeightNorm{R"((.*)_g)", "$1_v", "$1", true},
                  {{"weight_g", {4, 1}}, {"weight_v", {4, 3}}},
                  {{"weight", {4, 3}}}},
        ShapeCase{"UnfoldWeightNorm",
                  UnfoldWeightNorm{"w", "g", "v"},
                  {{"w", {4, 3, 5}}},
                  {{"g", {4, 1, 1}}, {"v", {4, 3, 5}}}}),
    [](const auto& row) { return row.param.name; });

using Operations = std::vector<Operation>;

struct RefusedCase {
  const char* name;
  Operations operations;
  Rows before;
  Code code;
};
class Refused : public testing::TestWithParam<RefusedCase> {};

TEST_P(Refused, NamesTheTensor) {
  Plan plan;
  for (const Operation& operation : GetParam().operations) plan.ops.push_back({operation});
  try {
    rehearse(plan, listing_of(GetParam().before));
    FAIL() << "carried out";
  } catch (const Error& error) {
    EXPECT_EQ(error.code, GetParam().code) << error.what();
  }
}

Operations repeated(const Operation& operation, std::size_t count) { return Operations(count, operation); }

/// Doubles one tensor again and again, without a byte of memory.
Operations doublings(std::size_t count) {
  Operations all;
  for (std::size_t i = 0; i < count; ++i) {
    all.emplace_back(Tie{"w", "again"});
    all.emplace_back(Fuse{{"w", "again"}, "w", 0});
  }
  return all;
}

constexpr std::int64_t kHuge = std::int64_t{1} << 60;

INSTANTIATE_TEST_SUITE_P(
    Rehearsal, Refused,
    testing::Values(
        RefusedCase{"RankOfDims", {Transpose{"w", {1, 0}}}, {{"w", {2}}}, Code::Invalid},
        RefusedCase{"DimTwice", {Transpose{"w", {1, -1}}}, {{"w", {2, 2}}}, Code::Invalid},
        RefusedCase{"DimOutside", {Transpose{"w", {0, 2}}}, {{"w", {2, 2}}}, Code::Invalid},
        RefusedCase{"OtherCount", {Reshape{"w", {5}}}, {{"w", {2, 2}}}, Code::Invalid},
        RefusedCase{"TwoOpen", {Reshape{"w", {-1, -1}}}, {{"w", {2, 2}}}, Code::Invalid},
        RefusedCase{"KeepsNothing", {Reshape{"w", {0, 0, 0}}}, {{"w", {2, 2}}}, Code::Invalid},
        RefusedCase{"HugeShape", {Reshape{"w", {kHuge, kHuge}}}, {{"w", {2, 2}}}, Code::Corrupt},
        RefusedCase{"OddSplit", {kQkv}, {{"qkv", {8}}}, Code::Invalid},
        RefusedCase{"SizesOverflow", {Split{"w", {"a", "b"}, 0, {kHuge * 7, kHuge * 7}}}, {{"w", {8}}}, Code::Invalid},
        RefusedCase{"GroupsDoNotDivide", {Split{"w", {"a", "b"}, 0, {}, 3}}, {{"w", {8}}}, Code::Invalid},
        RefusedCase{"SplitAxis", {Split{"w", {"a"}, 1}}, {{"w", {8}}}, Code::Invalid},
        RefusedCase{"PartMissing", {Fuse{{"(.*)k", "(.*)v"}, "$1kv", 0, 1, true}}, {{"ak", {1}}}, Code::Invalid},
        RefusedCase{"PartsDiffer", {Fuse{{"a", "b"}, "c", 0}}, {{"a", {1, 2}}, {"b", {1, 3}}}, Code::Invalid},
        RefusedCase{
            "DTypesDiffer", {Fuse{{"a", "b"}, "c", 0}}, {{"a", {1}}, {"b", {1}, DType::Float16}}, Code::Invalid},
        RefusedCase{"NameTaken", {Tie{"a", "b"}}, {{"a", {1}}, {"b", {1}}}, Code::Invalid},
        RefusedCase{"NoGrid", {Resize{"p", {1, 20, 8}}}, {{"p", {1, 17, 8}}}, Code::Invalid},
        RefusedCase{"OtherTokens", {Resize{"p", {1, 25, 8}}}, {{"p", {1, 17, 8}}}, Code::Invalid},
        RefusedCase{"NoChannelRule", {InflateChannels{"s", 4}}, {{"s", {8, 5, 3, 3}}}, Code::Invalid},
        RefusedCase{"BlocksNotComputed", {Dequantize{"w"}}, {{"w", {1, 256}, DType::IQ1_S}}, Code::Unsupported},
        RefusedCase{"Blocks", {Transpose{"w", {1, 0}}}, {{"w", {2, 256}, DType::Q4_K}}, Code::Unsupported},
        RefusedCase{"NotQuantised", {Dequantize{"w"}}, {{"w", {2}}}, Code::Invalid},
        RefusedCase{
            "RanksDiffer", {MergeLora{"(.*)A", "(.*)B", "$1w"}}, {{"xA", {2, 4}}, {"xB", {6, 3}}}, Code::Invalid},
        RefusedCase{"NoPartner", {MergeLora{"(.*)A", "(.*)B", "$1w"}}, {{"xA", {2, 4}}}, Code::Invalid},
        RefusedCase{"NoStatistics", {FoldBatchNorm{"c", "b"}}, {{"c.weight", {4, 2}}}, Code::Invalid},
        RefusedCase{"SubByte", {Transpose{"w", {1, 0}}}, {{"w", {2, 2}, DType::F4}}, Code::Unsupported},
        RefusedCase{"MillionRows", {ResizeRows{"w", kHuge}}, {{"w", {2, 2}}}, Code::Corrupt},
        RefusedCase{"TooManyRows", {ResizeRows{"w", 1'000'000'000}}, {{"w", {2, 2}}}, Code::Limit},
        RefusedCase{"Tower", repeated(Transpose{"w", {1, 0}}, 1'000), {{"w", {2, 2}}}, Code::Limit},
        RefusedCase{"Doublings", doublings(64), {{"w", {0}}}, Code::Limit},
        RefusedCase{"GrowingNames", repeated(Rename{"(.*)", "$1$1", true}, 64), {{"w", {1}}}, Code::Limit},
        RefusedCase{"GrowingPrefix", repeated(AddPrefix{std::string(1 << 14, 'x')}, 64), {{"w", {1}}}, Code::Limit}),
    [](const auto& row) { return row.param.name; });

TEST(Rehearse, ShapesOfAnErrorTextStayUnknown) {
  Listing listing;
  listing.tensors.push_back({"qkv", std::nullopt, std::nullopt, Role::Unknown, {}});
  const Rehearsal rehearsal = rehearse({{{kQkv}, {Transpose{"q", {1, 0}}}, {Fuse{{"k", "v"}, "kv"}}}}, listing);
  ASSERT_EQ(rehearsal.tensors.size(), 2U);
  EXPECT_FALSE(rehearsal.tensors[0].spec.shape);
}

TEST(Rehearse, TellsAllSourcesAndWhatIsLeftOut) {
  const Listing listing = listing_of({{"a", {1}}, {"b", {1}}, {"c", {2}}});
  const Rehearsal rehearsal = rehearse({{{Fuse{{"b", "a"}, "ba"}}, {Split{"c", {"d", "e"}}}, {Drop{"e"}}}}, listing);
  EXPECT_EQ(sources(rehearsal.tensors[0]), (std::vector<std::size_t>{1, 0}));
  EXPECT_TRUE(rehearsal.dropped.empty()) << "half of c is still there";
}

TEST(Accepted, NeverTakesAComputationForExact) {
  EXPECT_TRUE(accepted({{{ResizeRows{"a", 1}, Applicability::Exact}}}).ops.empty());
  EXPECT_EQ(accepted({{{ResizeRows{"a", 1}, Applicability::Exact}}}, {true, false}).ops.size(), 1U);
}

// --- expressions turned round ----------------------------------------------------------------------------------------

struct TurnedCase {
  const char* name;
  const char *from, *to, *back_from, *back_to;  ///< back_from null: cannot be turned
};
class TurnedNames : public testing::TestWithParam<TurnedCase> {};

TEST_P(TurnedNames, LeadBack) {
  const auto back = plan::turned(GetParam().from, GetParam().to);
  ASSERT_EQ(back.has_value(), GetParam().back_from != nullptr);
  if (!back) return;
  EXPECT_EQ(back->from, GetParam().back_from);
  EXPECT_EQ(back->to, GetParam().back_to);
}

INSTANTIATE_TEST_SUITE_P(
    Templates, TurnedNames,
    testing::Values(TurnedCase{"Block", R"(layers\.(\d+)\.(.*))", "h.$1.$2", R"(h\.(\d+)\.(.*))", "layers.$1.$2"},
                    TurnedCase{"Swapped", R"((a+)\.(b+))", "$2/$1", R"((b+)/(a+))", "$2.$1"},
                    TurnedCase{"Dollar", R"(a\$(.))", "$$$1", R"(\$(.))", "a$$$1"},
                    TurnedCase{"Class", R"(x([.)]))", "$1", R"(([.)]))", "x$1"},
                    TurnedCase{"Forgets", R"((a)(b))", "$1", nullptr, ""},
                    TurnedCase{"Twice", R"((a))", "$1$1", nullptr, ""}, TurnedCase{"Wild", R"(a.*)", "b", nullptr, ""},
                    TurnedCase{"Lookahead", R"((?!a)(.*))", "$1", nullptr, ""},
                    TurnedCase{"Nested", R"((a(b)))", "$1$2", nullptr, ""},
                    TurnedCase{"Digit", R"(a\d(b))", "$1", nullptr, ""},
                    TurnedCase{"TwoDigits", R"((a))", "$12", nullptr, ""}),
    [](const auto& row) { return row.param.name; });

// --- the way back ----------------------------------------------------------------------------------------------------

TEST(Invert, FindsOneExpressionForManyNames) {
  const Listing listing = listing_of({{"m.0.qkv.w", {6, 2}}, {"m.1.qkv.w", {6, 2}}, {"x", {1}}});
  const Plan plan{{{Split{R"(m\.(\d)\.qkv\.(.*))", {"b.$1.q.$2", "b.$1.k.$2", "b.$1.v.$2"}, 0, {}, 1, true}},
                   {Rename{R"(b\.(\d)\.(.*))", "h.$1.$2", true}}}};
  const Plan back = invert(plan, listing);
  ASSERT_EQ(back.ops.size(), 2U) << to_json(back);
  EXPECT_EQ(to_json(back.ops[0]),
            R"j({"op":"rename","from":"h\\.(\\d)\\.(.*)","to":"b.$1.$2","regex":true,"applicability":"exact"})j");
  EXPECT_EQ(std::get<Fuse>(back.ops[1].operation).to, "m.$1.qkv.$2");
}

TEST(Invert, SwapsNamesBack) {
  const Listing listing = listing_of({{"ab", {1}}, {"ba", {2}}});
  const Plan plan{{{Rename{"(a|b)(a|b)", "$2$1", true}}}};
  EXPECT_EQ(text(rows_of(rehearse(invert(plan, listing), listing_of(rows_of(rehearse(plan, listing)))))),
            text(rows_of(rehearse({}, listing))));
}

TEST(Invert, ChecksAxesOfTensorsWithoutAShape) {
  Listing listing = listing_of({{"s", {2, 3}}});
  for (const char* name : {"a", "b"}) listing.tensors.push_back({name, {}, {}, Role::Unknown, {}});
  for (const Operation& operation :
       {Operation(Transpose{"a", {0, 50'000'000}}), Operation(Transpose{"a", {0, 0}}),
        Operation(Transpose{"a", {-3, 0}}), Operation(Reorder{"a", 0, {2, 2}, {0, 50'000'000}}),
        Operation(Reorder{"a", 0, {2}, {1, 0}})})
    EXPECT_THROW(invert({{{operation}}}, listing), Error) << to_json({operation});
  EXPECT_EQ(invert({{{Transpose{"a", {1, -1, 0}}}}}, listing).ops.size(), 1U);
  EXPECT_THROW(invert({{{Fuse{{"a", "s", "b"}, "w", 50'000'000}}}}, listing), Error) << "the shape of `s` is lost";
}

TEST(Rehearse, PartsWhoseSumOverflowsAreRefused) {
  constexpr std::int64_t kQuarter = std::int64_t{1} << 62;
  const Listing listing = listing_of({{"a", {0, kQuarter}}});
  const Split split{"a", {"b", "c", "d", "e", "f"}, 1, {kQuarter, kQuarter, kQuarter, kQuarter, kQuarter}};
  EXPECT_THROW(rehearse({{{split}}}, listing), Error);
}

TEST(Invert, NamesTheOperationThatHasNoInverse) {
  const Listing listing = listing_of({{"a", {2}}, {"b", {2}}});
  for (const Operation& operation :
       {Operation(Drop{"a"}), Operation(KeepTarget{"a"}), Operation(ResizeRows{"a", 1}), Operation(Unwrap{"a"})}) {
    Listing named = listing;
    named.tensors.push_back({"a.c", DType::Float32, Shape{1}, Role::Unknown, {}});
    try {
      invert({{{operation}}}, named);
      FAIL() << op_name(operation);
    } catch (const Error& error) {
      EXPECT_EQ(error.code, Code::Unsupported);
      EXPECT_NE(error.where.key.find(op_name(operation)), std::string::npos) << error.where.key;
    }
  }
  EXPECT_THROW(invert({{{Cast{"a", DType::Float16}, Applicability::Lossy}}}, listing), Error);
}

}  // namespace
}  // namespace tenon
