// A blueprint inside a checkpoint or beside it: written, found again, and never in the way of the tensors.
#include <gtest/gtest.h>

#include <ostream>
#include <string>

#include <tenon/error.hpp>
#include <tenon/listing.hpp>
#include <tenon/save.hpp>

#include "support/blueprints.hpp"
#include "support/folder.hpp"

namespace tenon {
namespace {

struct Kind {
  const char* name;
  Format format;
  const char* file;
};
void PrintTo(const Kind& kind, std::ostream* out) { *out << kind.name; }

class EmbeddedBlueprint : public test::TemporaryFolder, public testing::WithParamInterface<Kind> {
 protected:
  std::string file() const { return path(GetParam().file); }

  void save_with(const std::string& blueprint_json) const {
    Snapshot snapshot;
    snapshot.containers.push_back({"", ContainerKind::Mapping, "dict", 0, "", false, 0});
    add_tensor(snapshot, "w", make_tensor(DType::UInt8, {3}, {std::byte{1}, std::byte{2}, std::byte{3}}));
    snapshot.blueprint_json = blueprint_json;
    save(snapshot, file(), {.format = GetParam().format});
  }

  void put_beside(const std::string& text) const { test::put(file() + ".blueprint.json", text); }

  static void expect_tensors(const Listing& listing) {
    ASSERT_EQ(listing.tensors.size(), 1U);
    EXPECT_EQ(listing.tensors[0].name, "w");
    ASSERT_TRUE(listing.values);
    std::vector<std::byte> bytes(3);
    copy_dense(listing.values->tensor("w"), bytes);
    EXPECT_EQ(bytes[2], std::byte{3});
  }
};

Blueprint of_class(const std::string& name) {
  Blueprint blueprint;
  blueprint.class_name = name;
  return blueprint;
}

TEST_P(EmbeddedBlueprint, ComesBackWhole) {
  const std::string text = to_json(test::small_blueprint());
  save_with(text);
  const Listing listing = read_listing(file());
  expect_tensors(listing);
  ASSERT_TRUE(listing.blueprint);
  EXPECT_EQ(listing.blueprint_problem, "");
  EXPECT_EQ(to_json(*listing.blueprint), text);
  EXPECT_EQ(listing.class_name, "Net");
  EXPECT_EQ(listing.values->blueprint_json(), text);
}

/// Nor is it shown among the user's own metadata.
TEST_P(EmbeddedBlueprint, IsNoMetadataAndNoTensor) {
  save_with(to_json(test::small_blueprint()));
  const Checkpoint checkpoint = open(file());
  EXPECT_EQ(checkpoint.tensors().size(), 1U);
  EXPECT_TRUE(checkpoint.objects().empty());
  EXPECT_TRUE(checkpoint.warnings().empty());
}

TEST_P(EmbeddedBlueprint, GoesAlongWhenTheCheckpointIsSavedAnew) {
  const std::string text = to_json(test::small_blueprint());
  save_with(text);
  for (const Format format : {Format::Safetensors, Format::PytorchZip}) {
    const std::string copy = path(format == Format::Safetensors ? "copy.safetensors" : "copy.pt");
    save(snapshot(open(file())), copy, {.format = format});
    EXPECT_EQ(open(copy).blueprint_json(), text) << copy;
  }
}

TEST_P(EmbeddedBlueprint, WithoutOneThereIsNone) {
  save_with("");
  const Listing listing = read_listing(file());
  expect_tensors(listing);
  EXPECT_EQ(listing.blueprint, nullptr);
  EXPECT_EQ(listing.blueprint_problem, "");
}

TEST_P(EmbeddedBlueprint, BesideTheFileIsFound) {
  save_with("");
  put_beside(to_json(of_class("Beside")));
  const Listing listing = read_listing(file());
  expect_tensors(listing);
  ASSERT_TRUE(listing.blueprint);
  EXPECT_EQ(listing.blueprint->class_name, "Beside");
}

TEST_P(EmbeddedBlueprint, InsideWins) {
  save_with(to_json(of_class("Inside")));
  put_beside(to_json(of_class("Beside")));
  const Listing listing = read_listing(file());
  ASSERT_TRUE(listing.blueprint);
  EXPECT_EQ(listing.blueprint->class_name, "Inside");
}

TEST_P(EmbeddedBlueprint, AFolderBesideIsNoBlueprint) {
  save_with("");
  std::filesystem::create_directory(file() + ".blueprint.json");
  EXPECT_EQ(read_listing(file()).blueprint, nullptr);
}

struct Damage {
  const char* name;
  std::string text;
  const char* problem;  ///< a part of it
};

TEST_P(EmbeddedBlueprint, ADamagedOneIsAProblemAndTheTensorsStayReadable) {
  const Damage rows[] = {
      {"cut", R"({"schema": "tenon.blu)", "not valid JSON"},
      {"other schema", R"({"schema": "tenon.blueprint/9"})", "unknown schema (schema)"},
      {"wrong member", R"({"schema": "tenon.blueprint/1", "tensors": [{"name": 1}]})",
       "a text is missing (tensors[0].name)"},
      {"too deep", std::string(1000, '['), "nested too deep"},
      {"huge number", R"({"schema": "tenon.blueprint/1", "tensors": [], "training": {"x": 1e999}})", "too large"}};
  for (const Damage& row : rows)
    for (const bool is_inside : {true, false}) {
      SCOPED_TRACE(std::string(row.name) + (is_inside ? " inside" : " beside"));
      std::filesystem::remove(file());
      save_with(is_inside ? row.text : "");
      if (!is_inside) put_beside(row.text);
      const Listing listing = read_listing(file());
      expect_tensors(listing);
      EXPECT_EQ(listing.blueprint, nullptr);
      EXPECT_NE(listing.blueprint_problem.find(row.problem), std::string::npos) << listing.blueprint_problem;
      std::filesystem::remove(file() + ".blueprint.json");
    }
}

/// A damaged one inside is not silently replaced by another from beside.
TEST_P(EmbeddedBlueprint, ADamagedOneInsideHidesTheOneBeside) {
  save_with("{");
  put_beside(to_json(of_class("Beside")));
  const Listing listing = read_listing(file());
  EXPECT_EQ(listing.blueprint, nullptr);
  EXPECT_NE(listing.blueprint_problem, "");
}

INSTANTIATE_TEST_SUITE_P(Formats, EmbeddedBlueprint,
                         testing::Values(Kind{"safetensors", Format::Safetensors, "net.safetensors"},
                                         Kind{"pytorch_zip", Format::PytorchZip, "net.pt"}),
                         [](const auto& row) { return row.param.name; });

}  // namespace
}  // namespace tenon
