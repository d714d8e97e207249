// The log of a checkpoint: lines that are appended and read, cut ones among them; ancestors, found and not.
#include <tenon/log.hpp>

#include <gtest/gtest.h>

#include <string>

#include <tenon/error.hpp>

#include "support/folder.hpp"

namespace tenon {
namespace {

using Lines = std::vector<std::string>;

struct LogFile : test::TemporaryFolder {
  /// Writes a blueprint as a file of its own, which is a checkpoint for the log.
  void write(const std::string& name, const Blueprint& blueprint) const { test::put(path(name), to_json(blueprint)); }

  std::string bare() const {
    write("net.json", {});
    return path("net.json");
  }
  static std::string metrics_of(const std::string& file) { return file + ".log.jsonl"; }
};

// ---- metrics

TEST_F(LogFile, LinesComeBackOldestFirst) {
  const std::string file = bare();
  append_log(file, {{"epoch", "1"}, {"loss", "0.5"}});
  append_log(file, {{"epoch", "2"}, {"note", R"("grüße\n")"}});
  EXPECT_EQ(read_log(file).metrics, (Lines{R"({"epoch":1,"loss":0.5})", R"({"epoch":2,"note":"grüße\n"})"}));
  EXPECT_EQ(read_log(file).damaged_lines, 0U);
  EXPECT_EQ(test::get(metrics_of(file)), "{\"epoch\":1,\"loss\":0.5}\n{\"epoch\":2,\"note\":\"grüße\\n\"}\n");
}

TEST_F(LogFile, WithoutLinesHasNoMetrics) {
  const Log log = read_log(bare());
  EXPECT_TRUE(log.metrics.empty());
  EXPECT_EQ(log.damaged_lines, 0U);
  EXPECT_EQ(entries(), 1U);  // reading makes no file
}

TEST_F(LogFile, AValueThatIsNoJsonIsKeptAsAText) {
  const std::string file = bare();
  append_log(file, {{"a", "1 2"}, {"b", "\"cut"}, {"c", "1e999"}, {"d", "\xff"}});
  const Log log = read_log(file);
  EXPECT_EQ(log.damaged_lines, 0U);
  EXPECT_EQ(log.metrics, (Lines{"{\"a\":\"1 2\",\"b\":\"\\\"cut\",\"c\":\"1e999\",\"d\":\"\xef\xbf\xbd\"}"}));
}

/// What a crash leaves: the last line without its end. It counts as damaged and harms no other.
TEST_F(LogFile, ACutLastLineIsCountedAndTheNextAppendStillParses) {
  const std::string file = bare();
  append_log(file, {{"epoch", "1"}});
  test::put(metrics_of(file), test::get(metrics_of(file)) + R"({"epoch": 2, "lo)");
  EXPECT_EQ(read_log(file).damaged_lines, 1U);
  EXPECT_EQ(read_log(file).metrics, (Lines{R"({"epoch":1})"}));
  append_log(file, {{"epoch", "3"}});
  EXPECT_EQ(read_log(file).damaged_lines, 1U);
  EXPECT_EQ(read_log(file).metrics, (Lines{R"({"epoch":1})", R"({"epoch":3})"}));
}

/// Every place at which a crash can cut a line.
TEST_F(LogFile, AnyCutLosesTheCutLineAlone) {
  const std::string file = bare();
  append_log(file, {{"epoch", "1"}});
  append_log(file, {{"epoch", "2"}});
  const std::string whole = test::get(metrics_of(file));
  for (std::size_t length = 0; length <= whole.size(); ++length) {
    test::put(metrics_of(file), whole.substr(0, length));
    append_log(file, {{"epoch", "3"}});
    const Log log = read_log(file);
    const std::size_t line_bytes = whole.size() / 2, complete = (length + 1) / line_bytes;  // a line end may be missing
    EXPECT_EQ(log.metrics.size(), complete + 1) << length;
    EXPECT_EQ(log.metrics.back(), R"({"epoch":3})") << length;
    EXPECT_EQ(log.damaged_lines, length % line_bytes == 0 || (length + 1) % line_bytes == 0 ? 0U : 1U) << length;
  }
}

TEST_F(LogFile, WhatIsNoObjectIsDamaged) {
  const std::string file = bare();
  test::put(metrics_of(file), "[1]\n\n  \r\n7\n{\"a\":1e999}\n{\"a\":1,\"a\":2}\n" + std::string(1000, '[') +
                                  "\nwords\n{\"a\":\"\xff\"}\n{\"ok\":true}\r\n");
  const Log log = read_log(file);
  EXPECT_EQ(log.metrics, (Lines{R"({"ok":true})"}));
  EXPECT_EQ(log.damaged_lines, 7U);  // blank lines are none
}

TEST_F(LogFile, OfAFileThatIsNotThereIsNotWritten) {
  try {
    append_log(path("none.pt"), {{"epoch", "1"}});
    FAIL() << "it was written";
  } catch (const Error& error) {
    EXPECT_EQ(error.code, Code::NotFound);
  }
  EXPECT_EQ(entries(), 0U);
  EXPECT_THROW(read_log(path("none.pt")), Error);
}

TEST_F(LogFile, ThatCannotBeWrittenIsSaid) {
  const std::string file = bare();
  std::filesystem::create_directory(metrics_of(file));
  try {
    append_log(file, {{"epoch", "1"}});
    FAIL() << "it was written";
  } catch (const Error& error) {
    EXPECT_EQ(error.code, Code::Write);
    EXPECT_EQ(error.where.file, metrics_of(file));
  }
}

// ---- ancestors

Blueprint trained(const std::string& epoch) {
  Blueprint blueprint;
  blueprint.training = {{"epoch", epoch}};
  return blueprint;
}

Blueprint child_of(const Blueprint& parent, const std::string& file, const std::string& epoch) {
  Blueprint child = trained(epoch);
  set_parent(child, parent, file);
  return child;
}

TEST_F(LogFile, AncestorsBesideItAreFound) {
  const Blueprint first = trained("1");
  Blueprint second = child_of(first, "/elsewhere/first.json", "2");
  second.changes = {"module drop added: Dropout(p=0.5)"};
  write("first.json", first);
  write("second.json", second);
  write("third.json", child_of(second, path("second.json"), "3"));
  const Log log = read_log(path("third.json"));
  ASSERT_TRUE(log.blueprint);
  EXPECT_EQ(log.digest, blueprint_digest(*log.blueprint));
  ASSERT_EQ(log.ancestors.size(), 2U);
  EXPECT_EQ(log.ancestors[0].file, "second.json");  // the base name alone is kept
  EXPECT_EQ(log.ancestors[0].digest, blueprint_digest(second));
  EXPECT_TRUE(log.ancestors[0].is_found);
  EXPECT_EQ(log.ancestors[0].changes, second.changes);
  EXPECT_EQ(log.ancestors[1].file, "first.json");
  EXPECT_TRUE(log.ancestors[1].is_found);
}

struct Lost {
  const char* name;
  const char* file;          ///< as the child gives it
  const char* beside;        ///< what stands there; "" for nothing
  const char* beside_bytes;  ///< "" for another blueprint
};
void PrintTo(const Lost& row, std::ostream* out) { *out << row.name; }

class LostParent : public LogFile, public testing::WithParamInterface<Lost> {};

TEST_P(LostParent, IsNamedAndNotFound) {
  Blueprint child = trained("2");
  child.parents = {{blueprint_digest(trained("1")), GetParam().file}};
  std::filesystem::create_directory(path("run"));
  write("run/child.json", child);
  const std::string bytes = GetParam().beside_bytes;
  if (GetParam().beside[0] != 0)
    test::put(path(std::string("run/") + GetParam().beside), bytes.empty() ? to_json(trained("9")) : bytes);
  write("parent.json", trained("1"));  // outside the folder: nobody looks there
  const Log log = read_log(path("run/child.json"));
  ASSERT_EQ(log.ancestors.size(), 1U);
  EXPECT_FALSE(log.ancestors[0].is_found);
  EXPECT_EQ(log.ancestors[0].file, GetParam().file);
  EXPECT_EQ(log.ancestors[0].digest, blueprint_digest(trained("1")));
}

INSTANTIATE_TEST_SUITE_P(Table, LostParent,
                         testing::Values(Lost{"nothing_there", "parent.json", "", ""},
                                         Lost{"another_blueprint", "parent.json", "parent.json", ""},
                                         Lost{"damaged", "parent.json", "parent.json", "{\"schema\": "},
                                         Lost{"no_checkpoint", "parent.json", "parent.json", "words"},
                                         Lost{"out_of_the_folder", "../parent.json", "", ""},
                                         Lost{"without_a_name", "", "", ""}, Lost{"the_folder", ".", "", ""}),
                         [](const auto& row) { return row.param.name; });

/// Digests cannot form a cycle, but names and claims can: the walk ends.
TEST_F(LogFile, AncestorsInACycleOfNamesEnd) {
  Blueprint a = trained("1"), b = trained("2");
  a.parents = {{"sha256:claimed", "b.json"}, {"sha256:claimed", "a.json"}};
  b.parents = {{blueprint_digest(a), "a.json"}};
  write("a.json", a);
  write("b.json", b);
  const Log log = read_log(path("b.json"));
  ASSERT_EQ(log.ancestors.size(), 2U);  // one digest is followed once, whoever names it
  EXPECT_TRUE(log.ancestors[0].is_found);
  EXPECT_EQ(log.ancestors[1].digest, "sha256:claimed");
  EXPECT_FALSE(log.ancestors[1].is_found);
}

TEST_F(LogFile, AnAncestorOfBothParentsIsToldOnce) {
  const Blueprint root = trained("0");
  const Blueprint left = child_of(root, "root.json", "1"), right = child_of(root, "root.json", "2");
  Blueprint merged = child_of(left, "left.json", "3");
  merged.parents.push_back({blueprint_digest(right), "right.json"});
  write("root.json", root);
  write("left.json", left);
  write("right.json", right);
  write("merged.json", merged);
  const Log log = read_log(path("merged.json"));
  ASSERT_EQ(log.ancestors.size(), 3U);
  EXPECT_EQ(log.ancestors[2].file, "root.json");
}

TEST_F(LogFile, SetParentSaysWhatChanged) {
  Blueprint parent = trained("1"), child = trained("2");
  parent.modules = {{"", "Net", true, {}, ""}};
  child.modules = {{"", "Net", true, {}, ""}, {"act", "ReLU", false, {}, ""}};
  set_parent(child, parent, "/data/runs/parent.pt");
  ASSERT_EQ(child.parents.size(), 1U);
  EXPECT_EQ(child.parents[0].file, "parent.pt");
  EXPECT_EQ(child.parents[0].digest, blueprint_digest(parent));
  EXPECT_EQ(child.changes, Lines{"module act added: ReLU()"});
}

}  // namespace
}  // namespace tenon
