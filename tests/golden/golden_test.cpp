// Golden findings: every folder beside this file that holds one of these files is a case. What `check` and `explain`
// say of it, as text and as JSON, is kept in expected.txt and expected.json. TENON_UPDATE_GOLDEN=1 writes them anew;
// the change is then read in review.
//
//   checkpoint.blueprint.json, target.blueprint.json    a pair for diagnose()
//   error.txt (and either of them)                      a text for explain()
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>

#include <tenon/diagnose.hpp>
#include <tenon/render.hpp>

namespace tenon {
namespace {

namespace fs = std::filesystem;

fs::path folder_of_cases() { return fs::path(TENON_SOURCE_DIR) / "tests" / "golden"; }

std::vector<std::string> cases() {
  std::vector<std::string> names;
  for (const auto& entry : fs::directory_iterator(folder_of_cases()))
    if (fs::exists(entry.path() / "error.txt") || fs::exists(entry.path() / "checkpoint.blueprint.json"))
      names.push_back(entry.path().filename().string());
  std::sort(names.begin(), names.end());
  return names;
}

std::string content(const fs::path& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()};
}

std::optional<Listing> listing_in(const fs::path& folder, const std::string& name) {
  const fs::path path = folder / (name + ".blueprint.json");
  if (!fs::exists(path)) return std::nullopt;
  Listing listing = read_blueprint(path.string());
  listing.label = name + ".blueprint.json";
  return listing;
}

void expect_golden(const fs::path& path, const std::string& answer) {
  if (std::getenv("TENON_UPDATE_GOLDEN") != nullptr) {
    std::ofstream(path, std::ios::binary) << answer;
    return;
  }
  EXPECT_EQ(answer, content(path)) << path << "\nTENON_UPDATE_GOLDEN=1 writes it anew; read the change in review";
}

class Golden : public testing::TestWithParam<std::string> {};

TEST_P(Golden, SaysTheSame) {
  const fs::path folder = folder_of_cases() / GetParam();
  const auto checkpoint = listing_in(folder, "checkpoint"), target = listing_in(folder, "target");
  const bool is_text = fs::exists(folder / "error.txt");
  ASSERT_TRUE(is_text || (checkpoint && target)) << folder << " holds half a case";
  const Report report =
      is_text ? explain({content(folder / "error.txt"), checkpoint, target}) : diagnose(*checkpoint, *target);
  expect_golden(folder / "expected.txt", render_text(report, CommandHint{}, TextStyle{}));
  expect_golden(folder / "expected.json", render_json(report, is_text ? "explain" : "check"));
}

INSTANTIATE_TEST_SUITE_P(Cases, Golden, testing::ValuesIn(cases()), [](const auto& row) { return row.param; });

}  // namespace
}  // namespace tenon
