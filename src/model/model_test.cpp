#include <gtest/gtest.h>

#include <cstdio>
#include <fstream>

#include <tenon/error.hpp>
#include <tenon/listing.hpp>

#include "support/listings.hpp"

namespace tenon {
namespace {

class TextFile {
 public:
  explicit TextFile(const std::string& text)
      : path_(testing::TempDir() + "tenon_model_" + testing::UnitTest::GetInstance()->current_test_info()->name() +
              ".json") {
    for (char& c : path_)
      if (c == '/' && &c > &path_[testing::TempDir().size()]) c = '_';
    std::ofstream(path_, std::ios::binary) << text;
  }
  ~TextFile() { std::remove(path_.c_str()); }
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

TEST(Blueprint, TellsTensorsAndClass) {
  const TextFile file(R"({"schema": "tenon.blueprint/1", "class": "Net", "later": {"more": []},
    "tensors": [{"name": "fc.weight", "dtype": "float32", "shape": [10, 4], "role": "parameter", "tied_to": null},
                {"name": "bn.n", "dtype": "int64", "shape": [], "role": "buffer", "tied_to": "fc.weight"}]})");
  const Listing listing = read_blueprint(file.path());
  EXPECT_EQ(listing.class_name, "Net");
  EXPECT_NE(listing.blueprint, nullptr);
  EXPECT_FALSE(listing.values.has_value());
  ASSERT_EQ(listing.tensors.size(), 2U);
  EXPECT_EQ(listing.tensors[0].name, "fc.weight");
  EXPECT_EQ(*listing.tensors[0].shape, (Shape{10, 4}));
  EXPECT_EQ(listing.tensors[0].role, Role::Parameter);
  EXPECT_EQ(*listing.tensors[1].dtype, DType::Int64);
  EXPECT_TRUE(listing.tensors[1].shape->empty());
  EXPECT_EQ(listing.tensors[1].tied_to, "fc.weight");
}

std::string blueprint(const std::string& tensors) {
  return R"({"schema": "tenon.blueprint/1", "tensors": )" + tensors + "}";
}

struct BadBlueprint {
  const char* name;
  std::string text;
  Code code;
  const char* key;
};
class BadBlueprints : public testing::TestWithParam<BadBlueprint> {};

TEST_P(BadBlueprints, AreRefusedWithTheirPlace) {
  const TextFile file(GetParam().text);
  try {
    read_blueprint(file.path());
    FAIL() << "accepted";
  } catch (const Error& error) {
    EXPECT_EQ(error.code, GetParam().code) << error.what();
    EXPECT_EQ(error.where.key, GetParam().key) << error.what();
  }
}

INSTANTIATE_TEST_SUITE_P(
    Blueprints, BadBlueprints,
    testing::Values(
        BadBlueprint{"Cut", "{\"schema\": ", Code::Corrupt, ""},
        BadBlueprint{"NoSchema", "{}", Code::Unsupported, "schema"},
        BadBlueprint{"OtherSchema", R"({"schema": "x/9"})", Code::Unsupported, "schema"},
        BadBlueprint{"NoTensors", R"({"schema": "tenon.blueprint/1"})", Code::Corrupt, "tensors"},
        BadBlueprint{"NoName", blueprint("[{}]"), Code::Corrupt, "tensors[0].name"},
        BadBlueprint{"NoDType", blueprint(R"([{"name": "a"}])"), Code::Corrupt, "tensors[0].dtype"},
        BadBlueprint{"OddDType", blueprint(R"([{"name": "a", "dtype": "f"}])"), Code::Corrupt, "tensors[0].dtype"},
        BadBlueprint{"NoShape", blueprint(R"([{"name": "a", "dtype": "bool"}])"), Code::Corrupt, "tensors[0].shape"},
        BadBlueprint{"Negative", blueprint(R"([{"name": "a", "dtype": "bool", "shape": [-1]}])"), Code::Corrupt,
                     "tensors[0].shape"},
        BadBlueprint{"Fraction", blueprint(R"([{"name": "a", "dtype": "bool", "shape": [1.5]}])"), Code::Corrupt,
                     "tensors[0].shape"},
        BadBlueprint{
            "Twice",
            blueprint(R"([{"name": "a", "dtype": "bool", "shape": []}, {"name": "a", "dtype": "bool", "shape": []}])"),
            Code::Corrupt, "tensors[1].name"},
        BadBlueprint{"Deep", std::string(200'000, '['), Code::Limit, ""}),
    [](const auto& row) { return row.param.name; });

TEST(Blueprint, ShapesThatOverflowAreRefused) {
  const TextFile file(blueprint(R"([{"name": "a", "dtype": "bool", "shape": [9223372036854775807, 4]}])"));
  EXPECT_THROW(read_blueprint(file.path()), Error);
}

TEST(List, NamesAllTensorsOrThoseBelowAPath) {
  test::CheckpointMaker maker;
  maker.add({"state_dict", "fc.weight", {2, 2}, {}})
      .add({"state_dict", "fc.bias", {2}, {}})
      .add({"ema", "fc.bias", {2}, {}});
  const Listing all = maker.listing();
  ASSERT_EQ(all.tensors.size(), 3U);
  EXPECT_EQ(all.tensors[0].name, "state_dict.fc.weight");
  const Listing part = list(maker.make(), "state_dict");
  ASSERT_EQ(part.tensors.size(), 2U);
  EXPECT_EQ(part.tensors[0].name, "fc.weight");
  EXPECT_EQ(part.value_names[0], "state_dict.fc.weight");
  EXPECT_EQ(part.state_dict, "state_dict");
}

TEST(List, APathWithoutTensorsIsAnError) {
  test::CheckpointMaker maker;
  maker.add({"state_dict", "w", {1}, {}});
  try {
    list(maker.make(), "state_dic");
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.code, Code::NotFound);
    EXPECT_NE(error.found.find("state_dict"), std::string::npos);
  }
}

}  // namespace
}  // namespace tenon
