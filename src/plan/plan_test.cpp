#include <gtest/gtest.h>

#include <chrono>

#include <tenon/error.hpp>
#include <tenon/plan.hpp>

#include "plan/patterns.hpp"
#include "plan/regex.hpp"
#include "plan/state.hpp"
#include "support/listings.hpp"

namespace tenon {
namespace {

using test::listing_of;

// --- JSON ------------------------------------------------------------------------------------------------------------

struct JsonCase {
  const char* name;
  Op op;
  const char* json;
};
class PlanJson : public testing::TestWithParam<JsonCase> {};

TEST_P(PlanJson, GoesThereAndBack) {
  const JsonCase& row = GetParam();
  EXPECT_EQ(to_json(row.op), row.json);
  const Plan plan = parse_plan("{\"ops\": [" + std::string(row.json) + "]}");
  ASSERT_EQ(plan.ops.size(), 1U);
  EXPECT_EQ(to_json(plan.ops[0]), row.json);
  EXPECT_EQ(plan.ops[0].operation.index(), row.op.operation.index());
}

INSTANTIATE_TEST_SUITE_P(
    Ops, PlanJson,
    testing::Values(
        JsonCase{"Strip",
                 {StripPrefix{"module."}, Applicability::Exact},
                 R"({"op":"strip_prefix","prefix":"module.","applicability":"exact"})"},
        JsonCase{"Add",
                 {AddPrefix{"net."}, Applicability::Guess},
                 R"({"op":"add_prefix","prefix":"net.","applicability":"guess"})"},
        JsonCase{"Unwrap",
                 {Unwrap{"state_dict"}, Applicability::Exact},
                 R"({"op":"unwrap","path":"state_dict","applicability":"exact"})"},
        JsonCase{"Rename",
                 {Rename{"a", "b"}, Applicability::Exact},
                 R"({"op":"rename","from":"a","to":"b","applicability":"exact"})"},
        JsonCase{"Regex",
                 {Rename{"a(.*)", "b$1", true}, Applicability::Template},
                 R"j({"op":"rename","from":"a(.*)","to":"b$1","regex":true,"applicability":"template"})j"},
        JsonCase{
            "Drop", {Drop{"fc.*"}, Applicability::Exact}, R"({"op":"drop","pattern":"fc.*","applicability":"exact"})"},
        JsonCase{"Keep",
                 {KeepTarget{"fc.*"}, Applicability::Exact},
                 R"({"op":"keep_target","pattern":"fc.*","applicability":"exact"})"},
        JsonCase{"Cast",
                 {Cast{"*", DType::BFloat16}, Applicability::Lossy},
                 R"({"op":"cast","pattern":"*","dtype":"bfloat16","applicability":"lossy"})"},
        JsonCase{"Transpose",
                 {Transpose{"*.w", {3, 2, 0, 1}}},
                 R"({"op":"transpose","pattern":"*.w","dims":[3,2,0,1],"applicability":"exact"})"},
        JsonCase{"Reshape",
                 {Reshape{"w", {0, -1}}},
                 R"({"op":"reshape","pattern":"w","shape":[0,-1],"applicability":"exact"})"},
        JsonCase{"Reorder",
                 {Reorder{"q", 0, {4, -1, 2}, {0, 2, 1}}},
                 R"({"op":"reorder","pattern":"q","dim":0,"view":[4,-1,2],"dims":[0,2,1],)"
                 R"("applicability":"exact"})"},
        JsonCase{"Split",
                 {Split{"qkv", {"q", "k", "v"}, 0, {8, 4, 4}, 2}},
                 R"({"op":"split","from":"qkv","to":["q","k","v"],"dim":0,"sizes":[8,4,4],"groups":2,)"
                 R"("applicability":"exact"})"},
        JsonCase{"Fuse",
                 {Fuse{{"(.*)q", "(.*)k"}, "$1qk", 1, 1, true}},
                 R"j({"op":"fuse","from":["(.*)q","(.*)k"],"to":"$1qk","dim":1,"regex":true,)j"
                 R"("applicability":"exact"})"},
        JsonCase{"Tie",
                 {Tie{"embed.weight", "head.weight"}},
                 R"({"op":"tie","from":"embed.weight","to":"head.weight","applicability":"exact"})"},
        JsonCase{"Resize",
                 {Resize{"pos", {1, 26, 0}, ResizeMode::Bilinear, 1, false, {3, 4}, {5, 5}}},
                 R"({"op":"resize","pattern":"pos","shape":[1,26,0],"mode":"bilinear","tokens":1,)"
                 R"("from_grid":[3,4],"to_grid":[5,5],"applicability":"lossy"})"},
        JsonCase{"ResizeRows",
                 {ResizeRows{"embed", 7, RowFill::Mean}},
                 R"({"op":"resize_rows","pattern":"embed","rows":7,"fill":"mean","applicability":"lossy"})"},
        JsonCase{"MergeLora",
                 {MergeLora{"(.*)A", "(.*)B", "$1w", "", "$1alpha", 0.5, true}, Applicability::Guess},
                 R"j({"op":"merge_lora","down":"(.*)A","up":"(.*)B","to":"$1w","alpha":"$1alpha",)j"
                 R"("scale":0.5,"fan_in_fan_out":true,"applicability":"guess"})"},
        JsonCase{"Dequantize", {Dequantize{"*"}}, R"({"op":"dequantize","pattern":"*","applicability":"lossy"})"},
        JsonCase{"Inflate",
                 {InflateChannels{"stem.weight", 9}},
                 R"({"op":"inflate_channels","pattern":"stem.weight","channels":9,"applicability":"lossy"})"},
        JsonCase{"FoldBatchNorm",
                 {FoldBatchNorm{"conv", "bn", "fused", 0.001, 1}},
                 R"({"op":"fold_batch_norm","conv":"conv","norm":"bn","to":"fused","eps":0.001,"dim":1,)"
                 R"("applicability":"lossy"})"},
        JsonCase{"FoldWeightNorm",
                 {FoldWeightNorm{"weight_g", "weight_v", "weight"}},
                 R"({"op":"fold_weight_norm","g":"weight_g","v":"weight_v","to":"weight",)"
                 R"("applicability":"lossy"})"},
        JsonCase{"UnfoldWeightNorm",
                 {UnfoldWeightNorm{"weight", "g", "v", 1}},
                 R"({"op":"unfold_weight_norm","from":"weight","g":"g","v":"v","dim":1,)"
                 R"("applicability":"lossy"})"}),
    [](const auto& row) { return row.param.name; });

std::string repeated(const std::string& text, std::size_t count) {
  std::string result;
  for (std::size_t i = 0; i < count; ++i) result += text;
  return result;
}

struct BadPlan {
  const char* name;
  std::string text;
  Code code;
  const char* where;
};
class BadPlans : public testing::TestWithParam<BadPlan> {};

TEST_P(BadPlans, AreRefusedWithTheirPlace) {
  try {
    parse_plan(GetParam().text, "plan.json");
    FAIL() << "accepted";
  } catch (const Error& error) {
    EXPECT_EQ(error.code, GetParam().code) << error.what();
    EXPECT_EQ(error.where.key, GetParam().where) << error.what();
    EXPECT_EQ(error.where.file, "plan.json");
  }
}

INSTANTIATE_TEST_SUITE_P(
    Plans, BadPlans,
    testing::Values(
        BadPlan{"Empty", "", Code::Corrupt, ""}, BadPlan{"NoJson", "{ops}", Code::Corrupt, ""},
        BadPlan{"Deep", std::string(5'000'000, '['), Code::Limit, ""}, BadPlan{"NoOps", "{}", Code::Invalid, "ops"},
        BadPlan{"List", "[]", Code::Invalid, "ops"},
        BadPlan{"Twice", R"({"ops": [], "ops": []})", Code::Corrupt, "ops"},
        BadPlan{"OtherMember", R"({"ops": [], "op": []})", Code::Invalid, "op"},
        BadPlan{"NoObject", R"({"ops": [1]})", Code::Invalid, "ops[0]"},
        BadPlan{"NoName", R"({"ops": [{}]})", Code::Invalid, "ops[0].op"},
        BadPlan{"UnknownOp", R"({"ops": [{"op": "stripprefix"}]})", Code::Invalid, "ops[0].op"},
        BadPlan{"NoPrefix", R"({"ops": [{"op": "strip_prefix"}]})", Code::Invalid, "ops[0].prefix"},
        BadPlan{"EmptyPrefix", R"({"ops": [{"op": "strip_prefix", "prefix": ""}]})", Code::Invalid, "ops[0].prefix"},
        BadPlan{"Typo", R"({"ops": [{"op": "drop", "pattern": "a", "patern": "b"}]})", Code::Invalid, "ops[0].patern"},
        BadPlan{"BadDType", R"({"ops": [{"op": "cast", "pattern": "a", "dtype": "float31"}]})", Code::Invalid,
                "ops[0].dtype"},
        BadPlan{"BadRegexFlag", R"({"ops": [{"op": "rename", "from": "a", "to": "b", "regex": 1}]})", Code::Invalid,
                "ops[0].regex"},
        BadPlan{"BadRegex", R"({"ops": [{"op": "rename", "from": "(", "to": "b", "regex": true}]})", Code::Invalid,
                "ops[0].from"},
        BadPlan{"TextForDims", R"({"ops": [{"op": "transpose", "pattern": "a", "dims": "10"}]})", Code::Invalid,
                "ops[0].dims"},
        BadPlan{"FractionalDim", R"({"ops": [{"op": "transpose", "pattern": "a", "dims": [0.5]}]})", Code::Invalid,
                "ops[0].dims"},
        BadPlan{"HugeDim", R"({"ops": [{"op": "transpose", "pattern": "a", "dims": [18446744073709551615]}]})",
                Code::Invalid, "ops[0].dims"},
        BadPlan{"ManyDims", R"({"ops": [{"op": "reshape", "pattern": "a", "shape": [1)" + repeated(",1", 70) + "]}]}",
                Code::Invalid, "ops[0].shape"},
        BadPlan{"NoParts", R"({"ops": [{"op": "split", "from": "a", "to": []}]})", Code::Invalid, "ops[0].to"},
        BadPlan{"PartTwice", R"({"ops": [{"op": "split", "from": "a", "to": ["b", "b"]}]})", Code::Invalid,
                "ops[0].to"},
        BadPlan{"FewerSizes", R"({"ops": [{"op": "split", "from": "a", "to": ["b", "c"], "sizes": [1]}]})",
                Code::Invalid, "ops[0].sizes"},
        BadPlan{"NoGroups", R"({"ops": [{"op": "split", "from": "a", "to": ["b"], "groups": 0}]})", Code::Invalid,
                "ops[0].groups"},
        BadPlan{"BadPartRegex", R"({"ops": [{"op": "fuse", "from": ["a", "("], "to": "b", "regex": true}]})",
                Code::Invalid, "ops[0].from"},
        BadPlan{"BadMode", R"({"ops": [{"op": "resize", "pattern": "a", "shape": [1], "mode": "lanczos"}]})",
                Code::Invalid, "ops[0].mode"},
        BadPlan{"NegativeRows", R"({"ops": [{"op": "resize_rows", "pattern": "a", "rows": -1}]})", Code::Invalid,
                "ops[0].rows"},
        BadPlan{"ScaleInWords", R"({"ops": [{"op": "merge_lora", "down": "a", "up": "b", "to": "c", "scale": "2"}]})",
                Code::Invalid, "ops[0].scale"},
        BadPlan{"ExactComputation",
                R"({"ops": [{"op": "resize_rows", "pattern": "a", "rows": 1, "applicability": "exact"}]})",
                Code::Invalid, "ops[0].applicability"},
        BadPlan{"ManyOps", "{\"ops\": [0" + repeated(",0", 1'000'000) + "]}", Code::Limit, "ops"},
        BadPlan{"BadApplicability", R"({"ops": [{"op": "drop", "pattern": "a", "applicability": "sure"}]})",
                Code::Invalid, "ops[0].applicability"}),
    [](const auto& row) { return row.param.name; });

TEST(PlanJson, APlanCutOutOfAReportIsTaken) {
  EXPECT_EQ(parse_plan(R"({"ops": [{"op": "drop", "pattern": "a"}], "resolves": {}, "leaves": {}})").ops.size(), 1U);
}

// --- rehearsal -------------------------------------------------------------------------------------------------------

std::vector<std::string> names(const Rehearsal& rehearsal) {
  std::vector<std::string> result;
  for (const Planned& planned : rehearsal.tensors) result.push_back(planned.spec.name);
  return result;
}
using Names = std::vector<std::string>;

struct OpCase {
  const char* name;
  Operation operation;
  Names before, after;
};
class Ops : public testing::TestWithParam<OpCase> {};

TEST_P(Ops, RenameAndDrop) {
  Listing listing;
  for (const std::string& name : GetParam().before)
    listing.tensors.push_back({name, DType::Float32, Shape{1}, Role::Unknown, {}});
  EXPECT_EQ(names(rehearse({{{GetParam().operation, Applicability::Exact}}}, listing)), GetParam().after);
}

INSTANTIATE_TEST_SUITE_P(
    Rehearsal, Ops,
    testing::Values(OpCase{"Strip", StripPrefix{"m."}, {"m.a", "m.m.b", "am.c"}, {"a", "m.b", "am.c"}},
                    OpCase{"Add", AddPrefix{"m."}, {"a", "m.b"}, {"m.a", "m.m.b"}},
                    OpCase{"Unwrap", Unwrap{"sd"}, {"sd.a", "opt.b", "sdx.c", "sd"}, {"a"}},
                    OpCase{"Rename", Rename{"a", "z"}, {"a", "aa"}, {"z", "aa"}},
                    OpCase{
                        "Regex", Rename{R"(l(\d+)\.(.*))", "x.$1.$2", true}, {"l12.w", "al1.w"}, {"x.12.w", "al1.w"}},
                    OpCase{"Lookahead",
                           Rename{R"((?!fc\.)(.*))", "b.$1", true},
                           {"c.w", "fc.w", "fcx.w"},
                           {"b.c.w", "fc.w", "b.fcx.w"}},
                    OpCase{"Drop", Drop{"fc.*"}, {"fc.w", "a.fc.w"}, {"a.fc.w"}},
                    OpCase{"Keep", KeepTarget{"fc.*"}, {"fc.w", "a"}, {"a"}},
                    OpCase{"KeepAbsent", KeepTarget{"head.*"}, {"a"}, {"a"}},
                    OpCase{"Cast", Cast{"a", DType::Float64}, {"a", "b"}, {"a", "b"}}),
    [](const auto& row) { return row.param.name; });

TEST(Rehearse, ReportsSourcesAndWhatWasDropped) {
  const Listing listing = listing_of({{"m.a", {1}}, {"x", {2}}, {"m.b", {3}}});
  const Rehearsal rehearsal = rehearse({{{Drop{"x"}}, {StripPrefix{"m."}}, {Cast{"b", DType::Float16}}}}, listing);
  ASSERT_EQ(rehearsal.tensors.size(), 2U);
  EXPECT_EQ(rehearsal.tensors[1].source, 2U);
  EXPECT_EQ(rehearsal.tensors[1].spec.dtype, DType::Float16);
  EXPECT_EQ(rehearsal.tensors[0].spec.dtype, DType::Float32);
  EXPECT_EQ(rehearsal.dropped, std::vector<std::size_t>{1});
}

TEST(Rehearse, RefusesTwoTensorsUnderOneName) {
  EXPECT_THROW(rehearse({{{StripPrefix{"m."}}}}, listing_of({{"m.a", {1}}, {"a", {1}}})), Error);
}

TEST(Rehearse, RefusesOperationsThatMatchNothing) {
  const Listing listing = listing_of({{"a", {1}}});
  for (const Operation& operation : {Operation(StripPrefix{"m."}), Operation(Unwrap{"a"}), Operation(Rename{"b", "c"}),
                                     Operation(Drop{"b*"}), Operation(Cast{"b", DType::Float16})})
    EXPECT_THROW(rehearse({{{operation}}}, listing), Error) << op_name(operation);
}

TEST(Accepted, TakesExactAndWhatAPersonAllows) {
  const Plan plan{{{Drop{"a"}, Applicability::Exact},
                   {Drop{"b"}, Applicability::Lossy},
                   {Drop{"c"}, Applicability::Guess},
                   {Drop{"d"}, Applicability::Template}}};
  EXPECT_EQ(accepted(plan).ops.size(), 1U);
  EXPECT_EQ(accepted(plan, {true, false}).ops.size(), 2U);
  EXPECT_EQ(accepted(plan, {true, true}).ops.size(), 3U);
}

// --- regular expressions of strangers --------------------------------------------------------------------------------

TEST(NamePattern, RefusesWhatCouldBlowUp) {
  for (const std::string& pattern : {std::string(2'000, 'a'), std::string("((a{99}){99}){99}"), std::string("a{1000}"),
                                     std::string(100, '(') + std::string(100, ')'), std::string("[a"), std::string("*"),
                                     "(a)\\1" + std::string(30, '9')})
    EXPECT_THROW(plan::NamePattern{pattern}, Error) << pattern.substr(0, 40);
}

TEST(NamePattern, TakesNoExponentialTime) {
  const std::string name(4'000, 'a');
  const auto start = std::chrono::steady_clock::now();
  EXPECT_FALSE(plan::NamePattern("(a*)*(a|aa)*(a*)*b").replaced(name, "x"));
  EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(20));
}

TEST(NamePattern, RefusesNamesThatCouldOutgrowTheStack) {
  EXPECT_THROW(plan::NamePattern("(.*)").replaced(std::string(1 << 20, 'a'), "$1"), Error);
}

// --- patterns --------------------------------------------------------------------------------------------------------

struct CoverCase {
  const char* name;
  Names wanted, others, globs;
};
class Cover : public testing::TestWithParam<CoverCase> {};

TEST_P(Cover, NamesTheWantedAndNoOther) {
  std::vector<plan::Named> rows;
  for (const std::string& name : GetParam().wanted) rows.push_back({name, true});
  for (const std::string& name : GetParam().others) rows.push_back({name, false});
  EXPECT_EQ(plan::cover(rows), GetParam().globs);
}

INSTANTIATE_TEST_SUITE_P(Patterns, Cover,
                         testing::Values(CoverCase{"Nothing", {}, {"a"}, {}},
                                         CoverCase{"All", {"a.w", "b.w"}, {}, {"*"}},
                                         CoverCase{"Module", {"fc.w", "fc.b"}, {"conv.w"}, {"fc.*"}},
                                         CoverCase{"OneName", {"fc.w"}, {"fc.b"}, {"fc.w"}},
                                         CoverCase{"SingleInModule", {"fc.w"}, {"conv.w"}, {"fc.w"}},
                                         CoverCase{"Deep", {"a.b.w", "a.b.x"}, {"a.c.w"}, {"a.b.*"}},
                                         CoverCase{"Leaf", {"a.w", "b.w", "c.w"}, {"a.n", "b.n", "c.n"}, {"*.w"}},
                                         CoverCase{"TopLevel", {"pos", "fc.w", "fc.b"}, {"conv.w"}, {"pos", "fc.*"}}),
                         [](const auto& row) { return row.param.name; });

}  // namespace
}  // namespace tenon
