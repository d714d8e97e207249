// The names of a save in several files, one save after another, and where its index may stand.
#include "save/shards.hpp"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <set>
#include <string>

#include <tenon/checkpoint.hpp>
#include <tenon/error.hpp>

#include "support/folder.hpp"

namespace tenon::saving {
namespace {

namespace paths = std::filesystem;

class Shards : public test::TemporaryFolder {
 protected:
  static constexpr const char* kIndex = "m.safetensors.index.json";

  /// Two tensors, two shards.
  void save_at(const std::string& name, Existing existing = Existing::Replace) const {
    Snapshot snapshot;
    for (const char* tensor : {"a", "b"})
      add_tensor(snapshot, tensor, make_tensor(DType::UInt8, {8}, std::vector<std::byte>(8)));
    save(snapshot, path(name), {.existing = existing, .max_shard_bytes = 8});
  }

  std::set<std::string> names(const std::string& sub = ".") const {
    std::set<std::string> all;
    for (const auto& entry : paths::directory_iterator(path(sub))) all.insert(entry.path().filename().string());
    return all;
  }

  /// Index and both shards, `mark` between stem and numbers.
  static std::set<std::string> of(const std::string& mark) {
    return {kIndex, "m" + mark + "-00001-of-00002.safetensors", "m" + mark + "-00002-of-00002.safetensors"};
  }
};

TEST_F(Shards, NamesOfRemovedGenerationsDoNotComeBack) {
  for (const char* mark : {"", ".g2", ".g3", ".g4"}) {
    save_at("m.safetensors");
    EXPECT_EQ(names(), of(mark));
  }
}

TEST_F(Shards, WhoHoldsAnOlderIndexFindsItsShardsOrNothing) {
  save_at("m.safetensors");
  const std::string held = test::get(path(kIndex));
  for (int i = 0; i < 4; ++i) {
    save_at("m.safetensors");
    EXPECT_FALSE(paths::exists(path("m-00001-of-00002.safetensors"))) << "save " << i;
  }
}

TEST_F(Shards, WhatTheIndexNamesCountsAlsoWhereItIsGone) {
  test::put(path(kIndex), R"({"weight_map": {"a": "m.g7-00001-of-00003.safetensors"}})");
  save_at("m.safetensors");
  EXPECT_EQ(names(), of(".g8"));
}

struct Beside {
  const char* name;
  const char* file;
  const char* mark;
};
void PrintTo(const Beside& row, std::ostream* out) { *out << row.name; }

class ShardsBeside : public Shards, public testing::WithParamInterface<Beside> {};

TEST_P(ShardsBeside, CountOnlyWhereTheyAreShardsOfTheName) {
  test::put(path(GetParam().file), "x");
  save_at("m.safetensors");
  std::set<std::string> expected = of(GetParam().mark);
  expected.insert(GetParam().file);
  EXPECT_EQ(names(), expected);
}

INSTANTIATE_TEST_SUITE_P(
    Table, ShardsBeside,
    testing::Values(Beside{"later_generation", "m.g9-00004-of-00005.safetensors", ".g10"},
                    Beside{"first_generation", "m-00001-of-00001.safetensors", ".g2"},
                    Beside{"another_stem", "mm.g9-00001-of-00002.safetensors", ""},
                    Beside{"another_suffix", "m.g9-00001-of-00002.bin", ""},
                    Beside{"no_number", "m.g-00001-of-00002.safetensors", ""},
                    Beside{"negative", "m.g-9-00001-of-00002.safetensors", ""},
                    Beside{"more_than_a_number_holds", "m.g99999999999999999999999-00001-of-00002.safetensors", ""},
                    Beside{"the_greatest_number", "m.g18446744073709551615-00001-of-00002.safetensors", ""},
                    Beside{"no_count", "m.g9-00001.safetensors", ""}),
    [](const auto& row) { return std::string(row.param.name); });

TEST_F(Shards, AnIndexThatIsALinkWithinItsFolderStaysOne) {
  test::put(path("real.json"), "{}");
  paths::create_symlink("real.json", path(kIndex));
  save_at("m.safetensors");
  EXPECT_TRUE(paths::is_symlink(path(kIndex)));
  EXPECT_EQ(open(path(kIndex)).tensors().size(), 2U);
  save_at("m.safetensors");  // and the shards of the one before are gone
  std::set<std::string> expected = of(".g2");
  expected.insert("real.json");
  EXPECT_EQ(names(), expected);
}

TEST_F(Shards, AnIndexThatIsALinkToTheSameFolderByAnotherNameStaysOne) {
  paths::create_directory_symlink(folder(), path("again"));
  paths::create_symlink("again/real.json", path(kIndex));
  save_at("m.safetensors");
  EXPECT_TRUE(paths::is_symlink(path(kIndex)));
  EXPECT_EQ(open(path(kIndex)).tensors().size(), 2U);
}

/// As in a cache whose snapshots are links into a store that other snapshots use as well.
TEST_F(Shards, AnIndexThatIsALinkIntoAnotherFolderIsRefusedAndNothingIsTouched) {
  paths::create_directory(path("store"));
  paths::create_directory(path("here"));
  save_at("store/m.safetensors");
  const auto stored = names("store");
  const std::string index = test::get(path("store/" + std::string(kIndex)));
  for (const char* target : {"../store/m.safetensors.index.json", "../store/not_there.json"})
    for (const Existing existing : {Existing::Replace, Existing::Refuse}) {
      paths::remove(path("here/" + std::string(kIndex)));
      paths::create_symlink(target, path("here/" + std::string(kIndex)));
      try {
        save_at("here/m.safetensors", existing);
        ADD_FAILURE() << "saved through " << target;
      } catch (const Error& error) {
        EXPECT_EQ(error.code, Code::Refused) << error.what();
      }
      EXPECT_EQ(names("here"), std::set<std::string>{kIndex});
      EXPECT_EQ(names("store"), stored);
      EXPECT_EQ(test::get(path("store/" + std::string(kIndex))), index);
    }
}

}  // namespace
}  // namespace tenon::saving
