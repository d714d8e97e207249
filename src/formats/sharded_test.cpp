// Shards with an index, and which file of a folder stands for it.
#include <tenon/checkpoint.hpp>

#include <gtest/gtest.h>

#include <filesystem>
#include <string>
#include <vector>

#include "support/folder.hpp"

namespace tenon {
namespace {

using namespace std::string_literals;

/// A safetensors file of float32 scalars with the given names and values.
std::string shard(const std::vector<std::pair<std::string, float>>& tensors) {
  std::string header = "{", data;
  for (const auto& [name, value] : tensors) {
    header += (header.size() > 1 ? ",\"" : "\"") + name + R"(":{"dtype":"F32","shape":[],"data_offsets":[)" +
              std::to_string(data.size()) + "," + std::to_string(data.size() + 4) + "]}";
    data.append(reinterpret_cast<const char*>(&value), 4);
  }
  header += "}";
  std::string file(8, '\0');
  file[0] = static_cast<char>(header.size());
  return file + header + data;
}

std::string index_of(const std::string& map, const std::string& metadata = R"({"total_size": 12})") {
  return R"({"metadata": )" + metadata + R"(, "weight_map": {)" + map + "}}";
}

const std::string kMap = R"("a": "m-1.safetensors", "b": "m-1.safetensors", "c": "m-2.safetensors")";

class Sharded : public test::TemporaryFolder {
 protected:
  void write(const std::string& index) {
    test::put(path("m-1.safetensors"), shard({{"a", 1}, {"b", 2}}));
    test::put(path("m-2.safetensors"), shard({{"c", 3}}));
    test::put(path("m.safetensors.index.json"), index);
  }
  float value(const Checkpoint& checkpoint, const std::string& name) {
    float read = 0;
    copy_dense(checkpoint.tensor(name), std::as_writable_bytes(std::span(&read, 1)));
    return read;
  }
  Error refusal(const std::string& name) {
    try {
      tenon::open(path(name));
    } catch (const Error& error) {
      return error;
    }
    ADD_FAILURE() << name << " was opened";
    return Error(Code::Invalid, {}, "nothing was thrown");
  }
};

TEST_F(Sharded, ShardsAreOneCheckpoint) {
  write(index_of(kMap));
  for (const std::string& name : {path("m.safetensors.index.json"), folder().string()}) {
    const Checkpoint whole = tenon::open(name);
    EXPECT_EQ(whole.file(), name);
    EXPECT_EQ(whole.format(), Format::SafetensorsSharded);
    ASSERT_EQ(whole.tensors().size(), 3U);
    EXPECT_EQ(value(whole, "a"), 1.0F);
    EXPECT_EQ(value(whole, "b"), 2.0F);
    EXPECT_EQ(value(whole, "c"), 3.0F);
    EXPECT_TRUE(whole.warnings().empty());
    EXPECT_EQ(whole.containers().front().tensor_count, 3U);
  }
}

TEST_F(Sharded, AWrongTotalAndUnlistedTensorsAreSaid) {
  write(index_of(R"("a": "m-1.safetensors", "c": "m-2.safetensors")", R"({"total_size": 99.5})"));
  const Checkpoint whole = tenon::open(folder().string());
  EXPECT_EQ(whole.tensors().size(), 3U);
  ASSERT_EQ(whole.warnings().size(), 2U);
  EXPECT_NE(whole.warnings()[0].find("1 tensor that the index does not name"), std::string::npos);
  EXPECT_NE(whole.warnings()[1].find("99.5"), std::string::npos);
}

struct PassedOver {
  const char* name;
  std::vector<std::string> files;
  std::string taken;
};
class SeveralInAFolder : public Sharded, public testing::WithParamInterface<PassedOver> {};

TEST_P(SeveralInAFolder, TheOthersAreNamed) {
  write(index_of(kMap));
  std::filesystem::remove(path("m.safetensors.index.json"));
  for (const std::string& file : GetParam().files)
    test::put(path(file), file.ends_with(".json") ? index_of(kMap) : shard({{"a", 1}}));
  const Checkpoint checkpoint = tenon::open(folder().string());
  ASSERT_EQ(checkpoint.warnings().size(), 1U);
  const std::string& warning = checkpoint.warnings()[0];
  EXPECT_NE(warning.find("`" + GetParam().taken + "` was read"), std::string::npos) << warning;
  for (const std::string& file : GetParam().files)
    EXPECT_NE(warning.find("`" + file + "`"), std::string::npos) << warning;
  EXPECT_EQ(checkpoint.tensors().size(), GetParam().taken.ends_with(".json") ? 3U : 1U);
}

INSTANTIATE_TEST_SUITE_P(
    Table, SeveralInAFolder,
    testing::Values(
        PassedOver{"file_and_index", {"model.safetensors", "model.safetensors.index.json"}, "model.safetensors"},
        PassedOver{"two_formats", {"model.safetensors", "pytorch_model.bin"}, "model.safetensors"},
        PassedOver{"older_file_and_index", {"pytorch_model.bin", "pytorch_model.bin.index.json"}, "pytorch_model.bin"},
        PassedOver{"two_indexes",
                   {"model.safetensors.index.json", "pytorch_model.bin.index.json"},
                   "model.safetensors.index.json"},
        PassedOver{"any_index", {"model.safetensors", "other.bin.index.json"}, "model.safetensors"}),
    [](const auto& row) { return row.param.name; });

struct Contradiction {
  const char* name;
  std::string map;
  Code code;
  std::string says;
};
class Contradictory : public Sharded, public testing::WithParamInterface<Contradiction> {};

TEST_P(Contradictory, IsRefused) {
  write(index_of(GetParam().map));
  test::put(path("again.safetensors"), shard({{"a", 9}}));
  const Error error = refusal("m.safetensors.index.json");
  EXPECT_EQ(error.code, GetParam().code) << error.what();
  EXPECT_NE(std::string(error.what()).find(GetParam().says), std::string::npos) << error.what();
}

INSTANTIATE_TEST_SUITE_P(
    Table, Contradictory,
    testing::Values(
        Contradiction{"missing_shard", kMap + R"(,"d":"m-3.safetensors")", Code::Corrupt, "m-3.safetensors"},
        Contradiction{"other_shard", R"("a":"m-1.safetensors","c":"m-1.safetensors")", Code::Corrupt,
                      "not in the shard"},
        Contradiction{"in_no_shard", kMap + R"(,"q":"m-2.safetensors")", Code::Corrupt, "not in the shard"},
        Contradiction{"in_two", kMap + R"(,"a2":"again.safetensors")", Code::Corrupt, "not in the shard"},
        Contradiction{"twice_in_the_index", kMap + R"(,"a":"m-2.safetensors")", Code::Corrupt, "stands twice"},
        Contradiction{"leaves_the_folder", R"("a":"../m-1.safetensors")", Code::Corrupt, "outside its folder"},
        Contradiction{"absolute", R"("a":"/etc/hostname")", Code::Corrupt, "outside its folder"},
        Contradiction{"windows", R"("a":"..\\m-1.safetensors")", Code::Corrupt, "outside its folder"},
        Contradiction{"nul", R"("a":"m\u0000")", Code::Corrupt, "outside its folder"},
        Contradiction{"dots", R"("a":"..")", Code::Corrupt, "outside its folder"},
        Contradiction{"nothing", "", Code::Corrupt, "maps no tensor"},
        Contradiction{"itself", R"("a":"m.safetensors.index.json")", Code::Limit, "too deep"}),
    [](const auto& row) { return row.param.name; });

TEST_F(Sharded, ANameInTwoShardsIsRefused) {
  write(index_of(kMap + R"(,"d":"m-3.safetensors")"));
  test::put(path("m-3.safetensors"), shard({{"d", 4}, {"a", 5}}));
  EXPECT_NE(std::string(refusal("m.safetensors.index.json").what()).find("two shards"), std::string::npos);
}

TEST_F(Sharded, LinksAreNotFollowedButTheCachesOwn) {
  namespace fs = std::filesystem;
  fs::create_directories(folder() / "blobs");
  fs::create_directories(folder() / "snapshots/rev");
  const std::string digest(64, 'a');
  test::put(path("blobs/" + digest), shard({{"a", 7}}));
  test::put(path("snapshots/rev/m.safetensors.index.json"), index_of(R"("a":"m-1.safetensors")", "{}"));
  fs::create_symlink("../../blobs/" + digest, folder() / "snapshots/rev/m-1.safetensors");
  EXPECT_EQ(value(tenon::open(path("snapshots/rev")), "a"), 7.0F);
  fs::remove(folder() / "snapshots/rev/m-1.safetensors");
  fs::create_symlink(path("blobs/" + digest), folder() / "snapshots/rev/m-1.safetensors");
  EXPECT_NE(std::string(refusal("snapshots/rev/m.safetensors.index.json").what()).find("is a link"), std::string::npos);
}

TEST_F(Sharded, SalvageReadsTheShardsThatAreThere) {
  write(index_of(kMap));
  std::filesystem::remove(path("m-1.safetensors"));
  const Checkpoint rest =
      tenon::open(folder().string(), {.mode = ReadMode::Map, .salvage = Salvage::Yes, .limits = {}});
  ASSERT_EQ(rest.tensors().size(), 1U);
  EXPECT_EQ(value(rest, "c"), 3.0F);
  EXPECT_NE(rest.warnings()[0].find("2 tensors left out"), std::string::npos);
}

TEST_F(Sharded, EveryTruncationOfTheIndexIsAnError) {
  const std::string index = index_of(kMap);
  for (std::size_t cut = 0; cut < index.size(); ++cut) {
    write(index.substr(0, cut));
    EXPECT_THROW(tenon::open(path("m.safetensors.index.json")), Error) << cut;
  }
}

// ---- folders

TEST_F(Sharded, AFolderIsItsOnlyCheckpoint) {
  test::put(path("weights.safetensors"), shard({{"a", 1}}));
  test::put(path("optimizer.pt"), "not looked at");
  test::put(path("config.json"), "{}");
  EXPECT_EQ(tenon::open(folder().string()).file(), folder().string());
  test::put(path("other.safetensors"), shard({{"a", 1}}));
  const Error error = refusal("");
  EXPECT_EQ(error.code, Code::Unsupported);
  EXPECT_NE(error.found.find("other.safetensors, weights.safetensors"), std::string::npos) << error.found;
  test::put(path("model.safetensors"), shard({{"b", 1}}));
  EXPECT_EQ(tenon::open(folder().string()).tensors()[0].name, "b");
}

TEST_F(Sharded, AnUnfinishedDistributedCheckpointIsCalledThat) {
  test::put(path("__0_0.distcp"), "PK");
  EXPECT_NE(std::string(refusal("").what()).find("unfinished"), std::string::npos);
}

}  // namespace
}  // namespace tenon
