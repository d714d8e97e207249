// The names of a save in several files, one save after another, and where its index may stand.
#include "save/shards.hpp"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <optional>
#include <set>
#include <stdexcept>
#include <string>
#include <utility>

#include <tenon/checkpoint.hpp>
#include <tenon/error.hpp>

#include "faults/faulty_fs.hpp"
#include "io/atomic_file.hpp"
#include "save/save_through.hpp"
#include "support/folder.hpp"

namespace tenon::saving {
namespace {

namespace paths = std::filesystem;

class Shards : public test::TemporaryFolder {
 protected:
  static constexpr const char* kIndex = "m.safetensors.index.json";

  /// Two tensors, two shards.
  SaveReport save_at(const std::string& name, Existing existing = Existing::Replace, Progress progress = {},
                     std::uint64_t max_shard_bytes = 8) const {
    Snapshot snapshot;
    for (const char* tensor : {"a", "b"})
      add_tensor(snapshot, tensor, make_tensor(DType::UInt8, {8}, std::vector<std::byte>(8)));
    return save(snapshot, path(name),
                {.existing = existing, .max_shard_bytes = max_shard_bytes, .progress = std::move(progress)});
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

std::string only_note(const SaveReport& report) {
  EXPECT_EQ(report.notes.size(), 1U);
  return report.notes.empty() ? std::string{} : report.notes.front();
}

TEST_F(Shards, OfAPrivateCheckpointStayPrivate) {
  save_at("m.safetensors");
  for (const std::string& name : names())
    paths::permissions(path(name), paths::perms::owner_read | paths::perms::owner_write);
  save_at("m.safetensors");
  ASSERT_EQ(names(), of(".g2"));
  for (const std::string& name : names())
    EXPECT_EQ(paths::status(path(name)).permissions(), paths::perms::owner_read | paths::perms::owner_write) << name;
}

TEST_F(Shards, AnIndexThatNamesOtherFilesDoesNotTakeThemAway) {
  test::put(path("thesis.tex"), "thesis");
  test::put(path("m-00001-of-00001.safetensors"), "a shard");
  test::put(path(kIndex), R"({"weight_map": {"w": "thesis.tex", "v": "m-00001-of-00001.safetensors"}})");
  const SaveReport report = save_at("m.safetensors");
  EXPECT_EQ(test::get(path("thesis.tex")), "thesis");
  EXPECT_FALSE(paths::exists(path("m-00001-of-00001.safetensors")));
  EXPECT_NE(only_note(report).find("thesis.tex"), std::string::npos);
}

TEST_F(Shards, ACheckpointOfTheOtherFormStaysAndIsTold) {
  save_at("m.safetensors", Existing::Refuse, {}, 0);
  EXPECT_NE(only_note(save_at("m.safetensors")).find("the file m.safetensors"), std::string::npos);
  paths::remove(path("m.safetensors"));
  EXPECT_NE(only_note(save_at("m.safetensors", Existing::Refuse, {}, 0)).find(kIndex), std::string::npos);
}

class PlantedJournal : public Shards {
 protected:
  /// A journal of a process of another boot that gave `victim` its name and did not come to the index.
  void plant(const std::string& of, const std::string& victim) const {
    test::put(path(victim), "precious");
    struct stat status {};
    ASSERT_EQ(::stat(path(victim).c_str(), &status), 0);
    test::put(journal(), "tenon journal 1\nof " + of + "\nindex 1 1 none\nnew " + std::to_string(status.st_ino) +
                             " 8 " + victim + "\nend\n");
  }
  std::string journal() const { return path(".x.tenon-000000000000-1-1-0.journal"); }
};

TEST_F(PlantedJournal, TakesShardsAwayWhereItIsOnesOwn) {
  plant("x.safetensors", "x-00001-of-00002.safetensors");
  save_at("m.safetensors");
  EXPECT_EQ(names(), of(""));
}

TEST_F(PlantedJournal, ThatNamesWhatIsNoShardIsLeftAlone) {
  plant("x.safetensors", "victim.txt");
  save_at("m.safetensors");
  EXPECT_EQ(test::get(path("victim.txt")), "precious");
  EXPECT_TRUE(paths::exists(journal()));
}

TEST_F(PlantedJournal, OfAnotherUserIsLeftAlone) {
  plant("x.safetensors", "x-00001-of-00002.safetensors");
  if (::chown(journal().c_str(), 12345, 12345) != 0) GTEST_SKIP() << "only root can give files away: NOT tested";
  save_at("m.safetensors");
  EXPECT_EQ(test::get(path("x-00001-of-00002.safetensors")), "precious");
  EXPECT_TRUE(paths::exists(journal()));
}

TEST_F(PlantedJournal, BehindALinkIsLeftAlone) {
  plant("x.safetensors", "x-00001-of-00002.safetensors");
  paths::rename(journal(), path("elsewhere"));
  paths::create_symlink("elsewhere", journal());
  save_at("m.safetensors");
  EXPECT_EQ(test::get(path("x-00001-of-00002.safetensors")), "precious");
}

TEST_F(Shards, ASaveThatWaitsForTheFolderCanBeEnded) {
  const int folder_lock = ::open(folder().c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  ASSERT_EQ(::flock(folder_lock, LOCK_EX), 0);
  int calls = 0;
  ::alarm(60);  // else a wait that hears nothing would never end
  // Written and read back after a few calls; all further ones come from the wait.
  EXPECT_THROW(save_at("m.safetensors", Existing::Replace,
                       [&](auto, auto) {
                         if (++calls == 30) throw std::runtime_error("interrupted");
                       }),
               std::runtime_error);
  ::alarm(0);
  ::close(folder_lock);
  EXPECT_EQ(names(), std::set<std::string>{});
}

/// As over NFS, where the answer to a rename is lost and the second request finds the name gone.
TEST_F(Shards, ARenameThatHappenedIsNoFailureWhateverTheSystemSays) {
  save_at("m.safetensors");
  test::FaultyFs fs(io::system_fs(), [](std::uint64_t, test::Call call) {
    return call == test::Call::Rename ? std::optional(test::Fault{test::Fault::Kind::Lie, 0}) : std::nullopt;
  });
  Snapshot snapshot;
  for (const char* tensor : {"a", "b"})
    add_tensor(snapshot, tensor, make_tensor(DType::UInt8, {8}, std::vector<std::byte>(8, std::byte{7})));
  for (const std::uint64_t shard_bytes : {std::uint64_t{8}, std::uint64_t{0}}) {
    const SaveOptions options{.existing = Existing::Replace, .max_shard_bytes = shard_bytes};
    const SaveReport report = save_through(fs, snapshot, path("m.safetensors"), options);
    EXPECT_EQ(open(report.path).tensor(1).storage[0], std::byte{7});
  }
  EXPECT_EQ(fs.faults(), 5U);  // journal, two shards, index; one file
}

TEST_F(Shards, ARenameOfWhichNothingCanBeToldTakesNothingAway) {
  save_at("m.safetensors");
  int renames = 0;
  bool is_blind = false;
  test::FaultyFs fs(io::system_fs(), [&](std::uint64_t, test::Call call) -> std::optional<test::Fault> {
    if (is_blind && call == test::Call::Ask) return test::Fault{};
    if (call != test::Call::Rename || ++renames != 4) return std::nullopt;
    is_blind = true;  // the index has its name, the system says no, and nothing can be looked up any more
    return test::Fault{test::Fault::Kind::Lie, 0};
  });
  Snapshot snapshot;
  for (const char* tensor : {"a", "b"})
    add_tensor(snapshot, tensor, make_tensor(DType::UInt8, {8}, std::vector<std::byte>(8, std::byte{7})));
  EXPECT_THROW(save_through(fs, snapshot, path("m.safetensors"), {.existing = Existing::Replace, .max_shard_bytes = 8}),
               io::NameUntold);
  EXPECT_EQ(open(path(kIndex)).tensor(1).storage[0], std::byte{7});
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
