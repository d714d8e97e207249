// Every change of a byte is found, and where it lies in a tensor the tensor is named. The number of files that are
// tried grows with TENON_TORTURE (tensor elements; the fast run takes 200).
#include <cstdlib>
#include <cstring>
#include <iostream>
#include <random>
#include <vector>

#include <tenon/error.hpp>
#include <tenon/save.hpp>

#include "base/cursor.hpp"
#include "support/folder.hpp"
#include "verify/verify_file.hpp"

namespace tenon {
namespace {

std::size_t elements() {
  const char* asked = std::getenv("TENON_TORTURE");
  return asked == nullptr ? 200 : static_cast<std::size_t>(std::strtoull(asked, nullptr, 10));
}

Tensor numbers(std::size_t count, float first) {
  std::vector<float> values(count);
  for (std::size_t i = 0; i < count; ++i) values[i] = first + static_cast<float>(i) * 0.37F;
  std::vector<std::byte> bytes(count * sizeof(float));
  std::memcpy(bytes.data(), values.data(), bytes.size());
  return make_tensor(DType::Float32, {static_cast<std::int64_t>(count)}, std::move(bytes));
}

Snapshot two_tensors(std::size_t count, float first = 1) {
  Snapshot snapshot;
  add_tensor(snapshot, "first.weight", numbers(count, first));
  add_tensor(snapshot, "second.bias", numbers(count / 4 + 1, -3));
  return snapshot;
}

bool tells_of(const VerifiedFile& verified, const std::string& name) {
  for (const Problem& problem : verified.problems)
    if (problem.where.find(name) != std::string::npos) return true;
  return false;
}

/// A file refused as a whole is found out, too.
VerifiedFile verified(const std::string& bytes, const std::string& path) {
  const auto view = base::as_bytes(bytes);
  try {
    return verification::verify_file(io::MappedFile::of_bytes({view.begin(), view.end()}, path), path, {});
  } catch (const Error& error) {
    VerifiedFile refused;
    refused.problems.push_back({"file", error.what()});
    return refused;
  }
}

class Torture : public test::TemporaryFolder, public testing::WithParamInterface<Format> {
 protected:
  std::string saved(const std::string& name, std::size_t count) {
    save(two_tensors(count), path(name), {.format = GetParam()});
    return test::get(path(name));
  }
};

/// Where the tensor's bytes are in the file.
std::pair<std::size_t, std::size_t> range_of(const std::string& file, const Tensor& tensor) {
  const std::string_view bytes = base::as_text(tensor.storage);
  return {file.find(bytes), bytes.size()};
}

TEST_P(Torture, EveryChangedByteIsFoundAndItsTensorNamed) {
  const std::string whole = saved("a", elements());
  ASSERT_TRUE(verified(whole, path("a")).ok);
  const auto [begin, size] = range_of(whole, numbers(elements(), 1));
  ASSERT_NE(begin, std::string::npos);
  std::mt19937 random(7);
  std::size_t tried = 0;
  for (std::size_t at = 0; at < whole.size(); ++at) {
    for (unsigned int change = 0; change < 9; ++change) {
      const unsigned int mask = change < 8 ? 1U << change : 1U + static_cast<unsigned int>(random() % 255U);
      std::string bytes = whole;
      bytes[at] = static_cast<char>(static_cast<unsigned char>(bytes[at]) ^ mask);
      const VerifiedFile found = verified(bytes, path("a"));
      ++tried;
      ASSERT_FALSE(found.ok) << "byte " << at << " ^ " << mask;
      ASSERT_FALSE(found.problems.empty());
      if (at >= begin && at < begin + size) {
        ASSERT_TRUE(tells_of(found, "first.weight")) << "byte " << at << ": " << found.problems[0].where;
      }
    }
  }
  std::cout << format_name(GetParam()) << ": " << tried << " changes of " << whole.size() << " bytes, all found\n";
}

TEST_P(Torture, EveryCutAndEveryAdditionIsFound) {
  const std::string whole = saved("a", elements());
  for (std::size_t length = 0; length < whole.size(); ++length)
    ASSERT_FALSE(verified(whole.substr(0, length), path("a")).ok) << length;
  for (const std::string_view added : {std::string_view("\0", 1), std::string_view("x"), std::string_view("PK\5\6")})
    ASSERT_FALSE(verified(whole + std::string(added), path("a")).ok) << added;
}

TEST_P(Torture, SwappedBlocksAndZeroedPagesAreFoundAndNamed) {
  constexpr std::size_t kMiB = 1 << 20, kPage = 4096;
  const std::size_t count = 3 * kMiB / sizeof(float);
  const std::string whole = saved("a", count);
  const auto [begin, size] = range_of(whole, numbers(count, 1));
  ASSERT_NE(begin, std::string::npos);
  std::string swapped = whole;
  std::swap_ranges(swapped.begin() + static_cast<std::ptrdiff_t>(begin),
                   swapped.begin() + static_cast<std::ptrdiff_t>(begin + kMiB),
                   swapped.begin() + static_cast<std::ptrdiff_t>(begin + kMiB));
  EXPECT_TRUE(tells_of(verified(swapped, path("a")), "first.weight"));
  for (std::size_t at = begin; at + kPage <= begin + size; at += 61 * kPage) {
    std::string zeroed = whole;
    std::fill_n(zeroed.begin() + static_cast<std::ptrdiff_t>(at), kPage, '\0');
    ASSERT_TRUE(tells_of(verified(zeroed, path("a")), "first.weight")) << at;
  }
}

INSTANTIATE_TEST_SUITE_P(Formats, Torture, testing::Values(Format::Safetensors, Format::PytorchZip, Format::Npz),
                         [](const auto& row) {
                           std::string name(format_name(row.param));
                           std::erase(name, '-');
                           return name;
                         });

class Shards : public test::TemporaryFolder {
 protected:
  std::string saved(const std::string& name, float first) {
    save(two_tensors(40, first), path(name), {.format = Format::Safetensors, .max_shard_bytes = 170});
    return path(name) + ".index.json";
  }
};

TEST_F(Shards, EveryChangedByteOfTheIndexAndOfAShardIsFound) {
  const std::string index = saved("m.safetensors", 1);
  ASSERT_TRUE(verify(index).ok);
  std::size_t tried = 0;
  for (const std::string& file : {index, path("m-00001-of-00002.safetensors")}) {
    const std::string whole = test::get(file);
    for (std::size_t at = 0; at < whole.size(); ++at) {
      std::string bytes = whole;
      bytes[at] = static_cast<char>(bytes[at] ^ (1 << (at % 8)));
      test::put(file, bytes);
      ++tried;
      try {
        ASSERT_FALSE(verify(index).ok) << file << " byte " << at;
      } catch (const Error&) {  // found, too: the index or the shard is no longer told as one
      }
    }
    test::put(file, whole);
  }
  EXPECT_TRUE(verify(index).ok);
  std::cout << "shards: " << tried << " changes, all found\n";
}

TEST_F(Shards, AShardOfAnotherSaveIsNamed) {
  const std::string index = saved("m.safetensors", 1);
  saved("n.safetensors", 2);
  const std::string other = test::get(path("n-00001-of-00002.safetensors"));
  ASSERT_EQ(other.size(), test::get(path("m-00001-of-00002.safetensors")).size());
  test::put(path("m-00001-of-00002.safetensors"), other);
  const VerifiedFile found = verify(index);
  ASSERT_EQ(found.problems.size(), 1U);
  EXPECT_NE(found.problems[0].where.find("m-00001-of-00002.safetensors"), std::string::npos);
  EXPECT_NE(found.problems[0].what.find("another save"), std::string::npos) << found.problems[0].what;
}

using Damage = test::TemporaryFolder;

TEST_F(Damage, ADamagedTensorIsRefusedAtFirstUseAndLeftOutBySalvage) {
  for (const Format format : {Format::Safetensors, Format::PytorchZip, Format::Npz}) {
    const std::string file = path(std::string(format_name(format)));
    save(two_tensors(300), file, {.format = format});
    std::string bytes = test::get(file);
    const auto [begin, size] = range_of(bytes, numbers(300, 1));
    bytes[begin + size / 2] = static_cast<char>(bytes[begin + size / 2] ^ 4);
    test::put(file, bytes);

    const Checkpoint damaged = open(file);
    EXPECT_NO_THROW(damaged.tensor("second.bias"));
    try {
      damaged.tensor("first.weight");
      FAIL() << format_name(format);
    } catch (const Error& error) {
      EXPECT_EQ(error.code, Code::Corrupt);
      EXPECT_EQ(error.where.key, "first.weight");
      EXPECT_NE(error.next.find("--salvage"), std::string::npos);
    }
    const Checkpoint rest = open(file, {.salvage = Salvage::Yes});
    ASSERT_EQ(rest.tensors().size(), 1U);
    EXPECT_EQ(rest.tensors()[0].name, "second.bias");
    ASSERT_FALSE(rest.warnings().empty());
    EXPECT_NE(rest.warnings().back().find("first.weight"), std::string::npos);
    EXPECT_NO_THROW(open(file, {.check = Check::No}).tensor("first.weight"));
  }
}

TEST_F(Damage, DamagedDigestsAreAWarningAndAProblemAndKeepNobodyFromReading) {
  const std::string file = path("a.safetensors");
  save(two_tensors(30), file);
  std::string bytes = test::get(file);
  bytes[bytes.find("xxh3-128")] = 'y';
  test::put(file, bytes);
  const Checkpoint checkpoint = open(file);
  EXPECT_NO_THROW(checkpoint.tensor("first.weight"));
  ASSERT_EQ(checkpoint.warnings().size(), 1U);
  EXPECT_NE(checkpoint.warnings()[0].find("digests"), std::string::npos);
  EXPECT_FALSE(verify(file).ok);
}

TEST_F(Damage, DigestsAreNoMetadataAndAreMadeAnew) {
  const std::string first = path("a.safetensors"), second = path("b.safetensors"), bare = path("c.safetensors");
  save(two_tensors(30), first);
  const Checkpoint read = open(first);
  for (const auto& [key, value] : read.metadata()) EXPECT_EQ(key, "format");
  save(snapshot(read), second);
  EXPECT_EQ(test::get(first), test::get(second));
  save(two_tensors(30), bare, {.digests = Digests::None});
  EXPECT_EQ(test::get(bare).find("xxh3"), std::string::npos);
}

}  // namespace
}  // namespace tenon
