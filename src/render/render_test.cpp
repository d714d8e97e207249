// Every answer as text and as JSON, against goldens; and what JSON must hold whatever the values.
#include <tenon/render.hpp>

#include <cmath>
#include <limits>

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "render/json_value.hpp"
#include "support/golden.hpp"
#include "support/memory_checkpoint.hpp"

namespace tenon {
namespace {

using Json = nlohmann::ordered_json;
using test::MemoryCheckpoint;

/// Indented, so that a golden can be read.
std::string readable(const std::string& line) { return Json::parse(line).dump(2) + "\n"; }

TextStyle style_of(std::size_t width) {
  TextStyle style;
  style.width = width;
  return style;
}

Error full_error() {
  return Error(Code::Corrupt, {"runs/a.pth", "archive/data.pkl", "conv1.weight", 17},
               "the storage is shorter than its tensor", "37,632 bytes", "1,024 bytes", "copy the file again");
}

Value mapping(ValuePairs pairs) { return Value{Mapping{"dict", std::move(pairs)}}; }
Value text(const char* words) { return Value{std::string(words)}; }
Value integer(std::int64_t number) { return Value{number}; }

/// Names that attack a terminal, are no UTF-8, or are long; objects of every kind; NaN; a meta tensor.
Checkpoint odd_checkpoint() {
  MemoryCheckpoint memory("runs/odd.pth");
  memory.add("conv1.weight", DType::Float32, {2, 2}, std::vector<float>{1, 2, 3, std::nanf("")});
  memory.add("a.very.long.name.that.goes.on.and.on.through.many.levels.of.modules.attention.output.dense.weight",
             DType::Int64, {1}, std::vector<std::int64_t>{7});
  memory.add("\x1b[31mred\xff", DType::UInt8, {1}, std::vector<std::uint8_t>{9});
  memory.add_meta("placeholder", DType::BFloat16, {1024, 1024});
  memory.add_object("epoch", integer(12));
  memory.add_object("loss", Value{std::numeric_limits<double>::quiet_NaN()});
  memory.add_object("seed", integer((std::int64_t{1} << 53) + 1));
  memory.add_object("args", Value{Record{"argparse.Namespace", {text("x")}, {{text("lr"), Value{0.5}}}}});
  memory.add_object("by_id", mapping({{integer(0), text("cat")}, {integer(1), text("dog\n")}}));
  memory.core().metadata = {{"format", "pt"}};
  memory.core().warnings = {"the archive's first entry begins at byte 64"};
  memory.core().format_version = "3";
  memory.core().producer = "torch 1.13.1";
  memory.core().file_bytes = 1234;
  return memory.checkpoint();
}

Report wrapped_report() {
  Report report;
  report.fits = false;
  report.difference.matched = 0;
  report.difference.missing = {"conv1.weight", "fc.bias", "fc.weight", "norm.weight"};
  report.difference.unexpected = {"module.conv1.weight", "module.fc.bias", "module.fc.weight", "module.norm.weight"};
  report.checkpoint_tensors = report.target_tensors = 4;
  Cause cause;
  cause.id = "wrapper_prefix";
  cause.confidence = 0.98;
  cause.summary = "every checkpoint key starts with `module.` and no model key does";
  cause.place = "runs/a.pth, 4 keys";
  cause.why =
      "DistributedDataParallel holds the model in an attribute `module`; the wrapper was saved, the bare model is "
      "loading";
  cause.evidence = {"0 of 4 keys match as they are", "4 of 4 without the prefix"};
  cause.keys = 4;
  for (const char* key : {"conv1.weight", "fc.bias", "fc.weight", "norm.weight"})
    cause.picture.push_back({std::string("module.") + key, key, "[64, 3, 7, 7]  same"});
  cause.ops = {0};
  cause.help = {"or save it unwrapped    torch.save(model.module.state_dict(), path)"};
  report.causes.push_back(cause);
  report.plan.ops.push_back({StripPrefix{"module."}, Applicability::Exact});
  report.resolves = {4, 4, 0};
  report.mapping.push_back({"fc.bias", {"module.fc.bias"}, "rename", 0.98, true});
  report.coverage = Coverage{1, 1, {{"fc", 1}}};
  return report;
}

TEST(ErrorText, NamesPlaceFactsAndNext) {
  test::expect_golden(render_text(full_error(), style_of(60)), "render/error_60.txt");
  test::expect_golden(render_text(Error(Code::NotFound, {"a.pth", {}, {}, {}}, "there is no such file"), style_of(100)),
                      "render/error_bare_100.txt");
}

TEST(ErrorJson, UnknownMembersAreNull) {
  const Json json = Json::parse(render_json(Error(Code::NotFound, {"a.pth", {}, {}, {}}, "gone"), "inspect"));
  EXPECT_EQ(
      json.dump(),
      R"({"schema":"tenon.inspect/1","error":{"code":"not_found","file":"a.pth","member":null,"key":null,"byte":null,)"
      R"("what":"gone","expected":null,"found":null,"next":null}})");
}

TEST(InspectText, FitsTheWidthAndKeepsTheTerminalSafe) {
  for (const std::size_t width : {60U, 100U}) {
    const std::string text = render_text(odd_checkpoint(), {}, style_of(width));
    test::expect_golden(text, "render/inspect_" + std::to_string(width) + ".txt");
    EXPECT_EQ(text.find('\x1b'), std::string::npos);
  }
  test::expect_golden(render_text(odd_checkpoint(), {.digest = true, .stats = true}, style_of(100)),
                      "render/inspect_values_100.txt");
}

TEST(InspectJson, HoldsTheContractsMembers) {
  test::expect_golden(readable(render_json(odd_checkpoint(), {.digest = true, .stats = true})), "render/inspect.json");
}

TEST(InspectText, LongTablesAreCut) {
  MemoryCheckpoint memory;
  for (int i = 0; i < 50; ++i) memory.add("w" + std::to_string(i), DType::Float32, {1}, std::vector<float>{0});
  EXPECT_NE(render_text(memory.checkpoint(), {}, style_of(80)).find("... and 10 more (--all)"), std::string::npos);
  TextStyle all = style_of(80);
  all.all = true;
  EXPECT_NE(render_text(memory.checkpoint(), {}, all).find("w49"), std::string::npos);
}

TEST(ReportText, ShowsCausePictureHelpAndCommand) {
  const CommandHint hint{"tenon adapt runs/a.pth --to b.pth -o fitted.safetensors", {}, {}};
  for (const std::size_t width : {60U, 100U})
    test::expect_golden(render_text(wrapped_report(), hint, style_of(width)),
                        "render/report_" + std::to_string(width) + ".txt");
}

TEST(ReportText, SaysWhyThereIsNoPlan) {
  Report report = wrapped_report();
  report.causes.clear();
  report.plan.ops.clear();
  report.resolves = {};
  report.leaves = {4, 4, 0};
  report.advice = {"compare the model's class with the one that saved the file"};
  const CommandHint hint{{}, "no operation brings a key of the file to a key of the model", {}};
  test::expect_golden(render_text(report, hint, style_of(80)), "render/report_no_plan_80.txt");
}

TEST(ReportText, ColourIsOnlyAddedNothingElseChanges) {
  TextStyle colour = style_of(80);
  colour.colour = true;
  std::string text = render_text(wrapped_report(), {"tenon adapt a --to b -o c.pt", {}, {}}, colour);
  std::string plain;
  for (std::size_t at = 0; at < text.size(); ++at) {
    if (text[at] == '\x1b')
      at = text.find('m', at);
    else
      plain += text[at];
  }
  EXPECT_EQ(plain, render_text(wrapped_report(), {"tenon adapt a --to b -o c.pt", {}, {}}, style_of(80)));
  EXPECT_NE(plain.size(), text.size());
}

TEST(ReportJson, HoldsTheContractsMembers) {
  test::expect_golden(readable(render_json(wrapped_report(), "check")), "render/check.json");
  const Json explained = Json::parse(render_json(Report{}, "explain"));
  EXPECT_EQ(explained["schema"], "tenon.explain/1");
  EXPECT_FALSE(explained.contains("mapping"));
  EXPECT_TRUE(explained["matched"].is_null());
  EXPECT_TRUE(explained["coverage"].is_null());
}

TEST(ReportJson, AnErrorStandsBesideTheCauses) {
  const Error error = full_error();
  const Json json = Json::parse(render_json(wrapped_report(), "check", &error));
  EXPECT_EQ(json["error"]["byte"], 17);
  EXPECT_EQ(json["causes"][0]["id"], "wrapper_prefix");
}

struct VerdictCase {
  const char* name;
  Report report;
  const char* expected;
};
Report report_of(std::optional<bool> fits, std::optional<std::uint64_t> matched, std::uint64_t wanted,
                 std::size_t missing) {
  Report report;
  report.fits = fits;
  report.difference.matched = matched;
  report.target_tensors = wanted;
  report.difference.missing.assign(missing, "k");
  return report;
}
Report with_not_checked(Report report) {
  report.not_checked = {"function not checked: the file has no blueprint"};
  return report;
}
Report with_cause(Report report) {
  report.causes.emplace_back().summary = "the file is a web page";
  return report;
}
Report with_dtype(Report report) {
  report.difference.dtype_changes.emplace_back();
  return report;
}

class Verdicts : public testing::TestWithParam<VerdictCase> {};
TEST_P(Verdicts, AreOneTrueSentence) { EXPECT_EQ(verdict(GetParam().report), GetParam().expected); }
INSTANTIATE_TEST_SUITE_P(
    Table, Verdicts,
    testing::Values(
        VerdictCase{"fits", with_not_checked(report_of(true, 6, 6, 0)),
                    "6 of 6 tensors fit; function not checked: the file has no blueprint"},
        VerdictCase{"missing", report_of(false, 60, 62, 2), "does not fit: 60 of 62 tensors match; 2 missing"},
        VerdictCase{"dtype", with_dtype(report_of(false, 2, 2, 0)),
                    "does not fit: 2 of 2 tensors match in name and shape; 1 would be loaded with other values"},
        VerdictCase{"text_with_keys", report_of(false, std::nullopt, 0, 3), "does not load: the text names 3 missing"},
        VerdictCase{"unreadable", with_cause(report_of(false, std::nullopt, 0, 0)),
                    "does not load: the file is a web page"},
        VerdictCase{"unknown_text", report_of(std::nullopt, std::nullopt, 0, 0),
                    "no verdict: the text holds no error that tenon knows"}),
    [](const auto& row) { return row.param.name; });

TEST(OutcomeText, VerifyDiffAdaptConvert) {
  const VerifiedFile damaged{
      "a.pth", false, 1'000'000, {{"archive/data/3", "the checksum does not match the bytes"}}, {"no more"}};
  DiffReport diff;
  diff.identical = 58;
  diff.only_a = {"a", "b", "c", "d"};
  diff.changed.push_back({"fc.weight", {10, 512}, {10, 512}, DType::Float32, DType::Float32, 0.25, 0.001, 0.999, 12});
  diff.changed.push_back({"fc.bias", {10}, {12}, DType::Float32, DType::Float16, {}, {}, {}, {}});
  AdaptOutcome adapted;
  adapted.out = "out.pt";
  adapted.fits = true;
  adapted.plan = wrapped_report().plan;
  adapted.filled_from_target = {"fc.weight"};
  adapted.tensors = 4;
  adapted.file_bytes = 2048;
  const ConvertOutcome converted{
      "a.pth", "a.safetensors", Format::PytorchZip, Format::Safetensors, 4, 0, {}, {}, {"a view was written dense"}};
  const TextStyle style = style_of(80);
  test::expect_golden(render_text(damaged, style) + "\n" + render_text(diff, style) + "\n" +
                          render_text(adapted, style) + "\n" + render_text(converted, style),
                      "render/outcomes_80.txt");
  test::expect_golden(readable(render_json(std::vector{damaged})) + readable(render_json(diff)) +
                          readable(render_json(adapted)) + readable(render_json(converted)),
                      "render/outcomes.json");
}

TEST(JsonValue, WhatNumbersCannotHoldIsText) {
  EXPECT_EQ(rendering::json_number(std::numeric_limits<double>::infinity()), "Infinity");
  EXPECT_EQ(rendering::json_number(-std::numeric_limits<double>::infinity()), "-Infinity");
  EXPECT_EQ(rendering::json_number(std::uint64_t{1} << 53).dump(), "9007199254740992");
  EXPECT_EQ(rendering::json_number((std::uint64_t{1} << 53) + 1).dump(), "\"9007199254740993\"");
  EXPECT_EQ(rendering::json_number(-(std::int64_t{1} << 53) - 1).dump(), "\"-9007199254740993\"");
  EXPECT_EQ(rendering::json_text("a\xff").dump(), "\"a\\\\xff\"");
}

TEST(JsonValue, KeysThatWouldCollideBecomePairs) {
  const Value value = mapping({{integer(1), text("a")}, {text("1"), text("b")}});
  EXPECT_EQ(rendering::json_of(value).dump(), R"([[1,"a"],["1","b"]])");
}

}  // namespace
}  // namespace tenon
