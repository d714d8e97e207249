#include "formats/torch_tar.hpp"

#include <gtest/gtest.h>

#include <cstdio>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "base/cursor.hpp"
#include "container/tar_reader.hpp"
#include "formats/detect.hpp"
#include "support/folder.hpp"

namespace tenon::formats {
namespace {

std::string number(std::uint64_t value, std::size_t width) {
  std::string bytes;
  for (std::size_t i = 0; i < width; ++i) bytes += static_cast<char>(static_cast<unsigned char>(value >> (8 * i)));
  return bytes;
}
std::string integer(std::int32_t value) { return "J" + number(static_cast<std::uint32_t>(value), 4); }
std::string text(std::string_view value) { return "X" + number(value.size(), 4) + std::string(value); }
std::string pickled(const std::string& opcodes) { return "\x80\x02" + opcodes + "."; }
std::string triple(const std::string& a, const std::string& b, const std::string& c) { return a + b + c + "\x87"; }

std::string field(const std::string& value, std::size_t bytes) {
  std::string padded = value;
  padded.resize(bytes);
  return padded;
}
std::string octal(std::uint64_t value, int digits) {
  char out[32];
  std::snprintf(out, sizeof out, "%0*llo", digits, static_cast<unsigned long long>(value));
  return out;
}
std::string member(const std::string& name, const std::string& content, char type = '0') {
  std::string header = field(name, 100) + field("0000644", 8) + field("0000000", 8) + field("0000000", 8) +
                       octal(content.size(), 11) + " " + field("00000000000", 12) + "        " + type + field("", 100) +
                       std::string(
                           "ustar\0"
                           "00",
                           8);
  header.resize(512);
  std::uint64_t sum = 0;
  for (const char c : header) sum += static_cast<unsigned char>(c);
  header.replace(148, 8, octal(sum, 6) + std::string("\0 ", 2));
  std::string padded = content;
  padded.resize((content.size() + 511) / 512 * 512);
  return header + padded;
}
const std::string kEnd(1024, '\0');

// ---- the four streams: one storage of six floats, the second half of it as a view, a tensor of each

struct Streams {
  std::string sys_info = pickled("}" + text("protocol_version") + "M\xe8\x03s");
  std::string storages = pickled(integer(1)) + storage(11, 6) + std::string("abcdefghijklmnopqrstuvwx") +
                         pickled("](" + view(12, 11, 3, 3) + "e");
  std::string tensors = pickled(integer(2)) + tensor(21, 11, {2, 3}, {3, 1}, 0) + tensor(22, 12, {2}, {1}, 1);
  std::string object =
      pickled("}(" + text("w") + integer(21) + "Q" + text("v") + text("22") + "Q" + text("epoch") + integer(4) + "u");

  static std::string storage(int key, std::uint64_t count) {
    return pickled(triple(integer(key), text("cpu"), "ctorch\nFloatStorage\n")) + number(count, 8);
  }
  static std::string view(int key, int root, int offset, int count) {
    return "(" + integer(key) + integer(root) + integer(offset) + integer(count) + "t";
  }
  static std::string tensor(int key, int storage_key, const std::vector<std::uint64_t>& shape,
                            const std::vector<std::uint64_t>& stride, std::uint64_t offset) {
    std::string bytes = pickled(triple(integer(key), integer(storage_key), "ctorch\nFloatTensor\n")) +
                        number(shape.size(), 4) + number(0, 4);
    for (const std::uint64_t extent : shape) bytes += number(extent, 8);
    for (const std::uint64_t step : stride) bytes += number(step, 8);
    return bytes + number(offset, 8);
  }
  std::string file() const {
    return member("sys_info", sys_info) + member("pickle", object) + member("tensors", tensors) +
           member("storages", storages) + kEnd;
  }
};

struct TarFiles : test::TemporaryFolder {
  std::shared_ptr<CheckpointCore> open(std::string_view bytes) const {
    test::put(path("f"), bytes);
    return open_torch_tar({path("f"), io::MappedFile::open(path("f"), ReadMode::Map), {}});
  }
};

TEST_F(TarFiles, ReadsTensorsAndViewsByTheirKeys) {
  const std::string file = Streams().file();
  EXPECT_EQ(detect(base::as_bytes(file), "f"), Known::TorchTar);
  const auto core = open(file);
  EXPECT_EQ(core->format, Format::PytorchTar);
  ASSERT_EQ(core->tensors.size(), 2U);
  EXPECT_EQ(core->tensors[0].name, "w");
  EXPECT_EQ(core->tensors[0].shape, (Shape{2, 3}));
  EXPECT_EQ(core->tensors[1].name, "v");
  const Checkpoint checkpoint(core);
  std::string bytes(8, '\0');
  copy_dense(checkpoint.tensor("v"), std::as_writable_bytes(std::span(bytes)));
  EXPECT_EQ(bytes, "qrstuvwx") << "one element into the view, which begins at the fourth";
  ASSERT_EQ(core->objects.size(), 1U);
  EXPECT_EQ(core->objects[0].name, "epoch");
  EXPECT_TRUE(core->warnings.empty());
}

struct Bad {
  const char* name;
  Streams streams;
  std::string what;
};
void PrintTo(const Bad& bad, std::ostream* out) { *out << bad.name; }
Streams with(std::string Streams::*stream, const std::string& bytes) {
  Streams streams;
  streams.*stream = bytes;
  return streams;
}

class BadTar : public TarFiles, public testing::WithParamInterface<Bad> {};

TEST_P(BadTar, IsRefusedWithItsPlace) {
  try {
    open(GetParam().streams.file());
    FAIL() << "it was opened";
  } catch (const Error& error) {
    EXPECT_EQ(error.where.file, path("f"));
    EXPECT_TRUE(error.where.byte || !error.where.key.empty()) << error.what();
    EXPECT_NE(std::string(error.what()).find(GetParam().what), std::string::npos) << error.what();
  }
}

const std::string kOne = pickled(integer(1));
INSTANTIATE_TEST_SUITE_P(
    Table, BadTar,
    testing::Values(
        Bad{"version", with(&Streams::sys_info, pickled("}" + text("protocol_version") + integer(7) + "s")),
            "protocol version"},
        Bad{"many_storages", with(&Streams::storages, pickled(integer(1 << 30))), "too many storages"},
        Bad{"negative_count", with(&Streams::storages, pickled(integer(-1))), "no count"},
        Bad{"cut_storage", with(&Streams::storages, kOne + Streams::storage(11, 7) + std::string(24, 'x')),
            "ends within storage 11"},
        Bad{"count_overflow", with(&Streams::storages, kOne + Streams::storage(11, 1ULL << 62)),
            "ends within storage 11"},
        Bad{"storage_class",
            with(&Streams::storages, kOne + pickled(triple(integer(11), text("cpu"), "cos\nsystem\n")) + number(0, 8)),
            "unknown class"},
        Bad{"view_outside",
            with(&Streams::storages,
                 kOne + Streams::storage(11, 1) + "abcd" + pickled("](" + Streams::view(12, 11, 1, 1) + "e")),
            "past its storage"},
        Bad{"view_of_nothing",
            with(&Streams::storages,
                 kOne + Streams::storage(11, 1) + "abcd" + pickled("](" + Streams::view(12, 9, 0, 1) + "e")),
            "not there"},
        Bad{"key_twice",
            with(&Streams::tensors,
                 pickled(integer(2)) + Streams::tensor(21, 11, {1}, {1}, 0) + Streams::tensor(21, 11, {1}, {1}, 0)),
            "stands twice"},
        Bad{"tensor_of_nothing", with(&Streams::tensors, kOne + Streams::tensor(21, 9, {1}, {1}, 0)), "not there"},
        Bad{"rank",
            with(&Streams::tensors,
                 kOne + pickled(triple(integer(21), integer(11), "N")) + number(1U << 31, 4) + std::string(20, '\0')),
            "too many dimensions"},
        Bad{"offset_outside", with(&Streams::tensors, kOne + Streams::tensor(21, 11, {1}, {1}, 7)),
            "outside its storage"},
        Bad{"shape_outside", with(&Streams::tensors, kOne + Streams::tensor(21, 11, {2, 4}, {3, 1}, 0)),
            "past its storage"},
        Bad{"negative_stride", with(&Streams::tensors, kOne + Streams::tensor(21, 11, {2}, {~0ULL}, 1)),
            "past its storage"},
        Bad{"object_cut", with(&Streams::object, "\x80\x02}"), "STOP"}),
    [](const auto& row) { return std::string(row.param.name); });

TEST_F(TarFiles, OtherTarArchivesAreNotTaken) {
  EXPECT_FALSE(looks_like_torch_tar(base::as_bytes(member("a.txt", "hello") + kEnd)));
  EXPECT_FALSE(looks_like_torch_tar(base::as_bytes("ustar")));
}

TEST_F(TarFiles, EveryTruncationAndChangeIsAnErrorOrAnAnswer) {
  const std::string whole = Streams().file();
  const auto survives = [&](const std::string& bytes) {
    try {
      const auto core = open(bytes);
      for (const TensorInfo& tensor : core->tensors) (void)core->bytes_of(tensor.storage);
      return true;
    } catch (const Error&) {
      return false;
    }
  };
  const std::size_t content_end = whole.size() - kEnd.size() - 512 + Streams().storages.size() % 512;
  for (std::size_t size = 0; size < content_end; size += 41) EXPECT_FALSE(survives(whole.substr(0, size))) << size;
  for (std::size_t at = 0; at < content_end; at += 13)
    for (const int value : {0x00, 0xff, whole[at] ^ 1}) {
      std::string damaged = whole;
      damaged[at] = static_cast<char>(value);
      (void)survives(damaged);
    }
}

// ---- tar

TEST(TarReader, ResolvesLongNamesAndKinds) {
  const std::string longest(150, 'n');
  const std::string record = "160 path=" + longest + "\n";
  ASSERT_EQ(record.size(), 160U);
  const std::string archive = member("././@LongLink", longest + std::string(1, '\0'), 'L') + member("short", "one") +
                              member("pax", record, 'x') + member("short", "three") + member("folder", "", '5') + kEnd;
  const auto members = container::read_tar(base::as_bytes(archive), "f", {});
  ASSERT_EQ(members.size(), 3U);
  EXPECT_EQ(members[0].name, longest);
  EXPECT_EQ(members[0].bytes, 3U);
  EXPECT_EQ(members[1].name, longest);
  EXPECT_EQ(archive.substr(members[1].offset, members[1].bytes), "three");
  EXPECT_TRUE(members[1].is_file);
  EXPECT_EQ(members[2].name, "folder");
  EXPECT_FALSE(members[2].is_file);
}

}  // namespace
}  // namespace tenon::formats
