// Archives as PyTorch writes them, as people re-pack them, and as nobody should: made byte by byte from the
// specification.
#include "container/zip_reader.hpp"

#include <gtest/gtest.h>
#include <zlib.h>

#include <functional>
#include <string>
#include <vector>

#include "base/cursor.hpp"
#include "base/digest.hpp"
#include "container/zip_writer.hpp"

namespace tenon::container {
namespace {

const auto row_name = [](const auto& row) { return std::string(row.param.name); };

using base::as_bytes;

std::string le(std::uint64_t number, int bytes) {
  std::string out;
  for (int i = 0; i < bytes; ++i) out += static_cast<char>(number >> (8 * i));
  return out;
}

std::string deflated(const std::string& content) {
  z_stream z{};
  deflateInit2(&z, 9, Z_DEFLATED, -MAX_WBITS, 8, Z_DEFAULT_STRATEGY);
  std::string out(compressBound(content.size()) + 16, '\0');
  z.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(content.data()));
  z.avail_in = static_cast<uInt>(content.size());
  z.next_out = reinterpret_cast<Bytef*>(out.data());
  z.avail_out = static_cast<uInt>(out.size());
  deflate(&z, Z_FINISH);
  out.resize(z.total_out);
  deflateEnd(&z);
  return out;
}

/// One entry and every number that its headers could lie about.
struct Made {
  std::string name;
  std::string content;
  std::uint16_t method = kZipStored;
  std::uint16_t flags = 0;
  std::string local_name = {};  ///< "" = name
  std::string local_extra = {};
  std::string directory_extra = {};
  bool sizes_follow = false;  ///< a data descriptor, zeros in the local header
  std::int64_t crc_change = 0;
  std::int64_t size_change = 0;  ///< of both sizes in the directory
  std::int64_t offset_change = 0;
  bool in_zip64 = false;  ///< all three numbers stand in the zip64 field
};

struct Archive {
  std::vector<Made> entries;
  std::string front = {};
  std::string back = {};
  std::string comment = {};
  bool end64 = false;
  std::int64_t count_change = 0;
  std::int64_t directory_change = 0;
};

std::string bytes_of(const Archive& archive) {
  std::string file;
  std::string directory;
  for (const Made& e : archive.entries) {
    const std::string packed = e.method == kZipDeflated ? deflated(e.content) : e.content;
    const auto crc = static_cast<std::uint64_t>(base::crc32(as_bytes(e.content)) + e.crc_change);
    const std::uint64_t offset = file.size() + static_cast<std::uint64_t>(e.offset_change);
    const std::string& local_name = e.local_name.empty() ? e.name : e.local_name;
    const bool zeros = e.sizes_follow;
    file += "PK\3\4" + le(20, 2) + le(e.flags | (zeros ? 8U : 0U), 2) + le(e.method, 2) + le(0, 4) +
            le(zeros ? 0 : crc, 4) + le(zeros ? 0 : packed.size(), 4) + le(zeros ? 0 : e.content.size(), 4) +
            le(local_name.size(), 2) + le(e.local_extra.size(), 2) + local_name + e.local_extra + packed;
    if (zeros) file += "PK\7\10" + le(crc, 4) + le(packed.size(), 4) + le(e.content.size(), 4);
    const auto change = static_cast<std::uint64_t>(e.size_change);
    const std::string wide = e.in_zip64 ? le(1, 2) + le(24, 2) + le(e.content.size() + change, 8) +
                                              le(packed.size() + change, 8) + le(offset, 8)
                                        : std::string();
    const std::string extra = e.directory_extra + wide;
    const std::uint64_t in64 = 0xFFFFFFFF;
    directory += "PK\1\2" + le(20, 2) + le(20, 2) + le(e.flags | (zeros ? 8U : 0U), 2) + le(e.method, 2) + le(0, 4) +
                 le(crc, 4) + le(e.in_zip64 ? in64 : packed.size() + change, 4) +
                 le(e.in_zip64 ? in64 : e.content.size() + change, 4) + le(e.name.size(), 2) + le(extra.size(), 2) +
                 le(0, 2) + le(0, 2) + le(0, 2) + le(0, 4) + le(e.in_zip64 ? in64 : offset, 4) + e.name + extra;
  }
  const std::uint64_t start = file.size() + static_cast<std::uint64_t>(archive.directory_change);
  const std::uint64_t count = archive.entries.size() + static_cast<std::uint64_t>(archive.count_change);
  file += directory;
  if (archive.end64) {
    const std::uint64_t at = file.size();
    file += "PK\6\6" + le(44, 8) + le(45, 2) + le(45, 2) + le(0, 4) + le(0, 4) + le(count, 8) + le(count, 8) +
            le(directory.size(), 8) + le(start, 8);
    file += "PK\6\7" + le(0, 4) + le(at, 8) + le(1, 4);
    file += "PK\5\6" + le(0, 4) + le(0xFFFF, 2) + le(0xFFFF, 2) + le(0xFFFFFFFF, 4) + le(0xFFFFFFFF, 4);
  } else {
    file += "PK\5\6" + le(0, 4) + le(count, 2) + le(count, 2) + le(directory.size(), 4) + le(start, 4);
  }
  return archive.front + file + le(archive.comment.size(), 2) + archive.comment + archive.back;
}

ZipReader reader(const std::string& file, ZipDamage damage = ZipDamage::Refuse, const Limits& limits = {}) {
  return ZipReader(as_bytes(file), "x.pt", limits, damage);
}

std::string content_of(const ZipReader& zip, const std::string& name) {
  const ZipEntry* entry = zip.find(name);
  if (entry == nullptr) return "(no entry)";
  std::vector<std::byte> unpacked;
  return std::string(base::as_text(zip.read(*entry, unpacked)));
}

const std::string kLong(5000, 'q');

struct Good {
  const char* name;
  Archive archive;
  std::size_t warnings;
};
void PrintTo(const Good& row, std::ostream* out) { *out << row.name; }
class GoodArchives : public testing::TestWithParam<Good> {};
TEST_P(GoodArchives, GiveTheirEntries) {
  const std::string file = bytes_of(GetParam().archive);
  const ZipReader zip = reader(file);
  EXPECT_EQ(zip.entries().size(), GetParam().archive.entries.size());
  EXPECT_EQ(zip.warnings().size(), GetParam().warnings) << (zip.warnings().empty() ? "" : zip.warnings()[0]);
  for (const Made& made : GetParam().archive.entries) EXPECT_EQ(content_of(zip, made.name), made.content);
  EXPECT_EQ(zip.find("elsewhere"), nullptr);
}
INSTANTIATE_TEST_SUITE_P(
    Rows, GoodArchives,
    testing::Values(
        Good{"empty", {}, 0}, Good{"stored", {{{"a/data.pkl", "one"}, {"a/data/0", "two"}}}, 0},
        Good{"deflated", {{{"a", kLong, kZipDeflated}, {"b", "", kZipDeflated}}}, 0},
        Good{"sizes_follow",
             {{{.name = "a", .content = "abc", .sizes_follow = true},
               {.name = "b", .content = kLong, .sizes_follow = true}}},
             0},
        Good{"padded_locally_alone", {{{.name = "a", .content = "abc", .local_extra = "FB" + le(3, 2) + "ZZZ"}}}, 0},
        Good{"other_extra_in_directory",
             {{{.name = "a", .content = "abc", .directory_extra = "UT" + le(1, 2) + "x"}}},
             0},
        Good{"zip64_numbers",
             {{{.name = "a", .content = "abc", .in_zip64 = true}, {.name = "b", .content = "x", .in_zip64 = true}}},
             0},
        Good{"zip64_end", {.entries = {{"a", "abc"}, {"b", "x"}}, .end64 = true}, 0},
        Good{"comment", {.entries = {{"a", "abc"}}, .comment = "made by hand"}, 0},
        Good{"bytes_in_front", {.entries = {{"a", "abc"}, {"b", "x"}}, .front = "#!/bin/sh\n"}, 2},
        Good{"bytes_behind", {.entries = {{"a", "abc"}}, .back = "trailing"}, 1}),
    row_name);

struct Bad {
  const char* name;
  Archive archive;
  Code code;
  const char* says;
};
void PrintTo(const Bad& row, std::ostream* out) { *out << row.name; }
class BadArchives : public testing::TestWithParam<Bad> {};
TEST_P(BadArchives, AreRefused) {
  const std::string file = bytes_of(GetParam().archive);
  try {
    const ZipReader zip = reader(file);
    for (const Made& made : GetParam().archive.entries) content_of(zip, made.name);
    FAIL() << "read";
  } catch (const Error& error) {
    EXPECT_EQ(code_name(error.code), code_name(GetParam().code)) << error.what();
    EXPECT_NE(error.what_happened.find(GetParam().says), std::string::npos) << error.what();
    EXPECT_EQ(error.where.file, "x.pt");
    EXPECT_TRUE(error.where.byte || !error.where.member.empty());
  }
}
INSTANTIATE_TEST_SUITE_P(
    Rows, BadArchives,
    testing::Values(
        Bad{"same_name_twice", {{{"a", "one"}, {"a", "two"}}}, Code::Corrupt, "one name"},
        Bad{"wrong_checksum", {{{.name = "a", .content = "abc", .crc_change = 1}}}, Code::Corrupt, "checksum"},
        Bad{"wrong_checksum_deflated",
            {{{.name = "a", .content = kLong, .method = kZipDeflated, .crc_change = 1}}},
            Code::Corrupt,
            "checksum"},
        Bad{"local_name_differs", {{{.name = "a", .content = "abc", .local_name = "b"}}}, Code::Corrupt, "different"},
        Bad{"offset_into_nothing", {{{.name = "a", .content = "abcdef", .offset_change = 3}}}, Code::Corrupt, ""},
        Bad{"reaches_into_directory",
            {{{.name = "a", .content = "abc", .size_change = 10}}},
            Code::Corrupt,
            "directory begins"},
        Bad{"overlaps_the_next",
            {{{.name = "a", .content = "abc", .size_change = 10}, {"b", kLong}}},
            Code::Corrupt,
            "overlap"},
        Bad{"encrypted", {{{.name = "a", .content = "abc", .flags = 1}}}, Code::Unsupported, "encrypted"},
        Bad{"unknown_method", {{{.name = "a", .content = "abc", .method = 12}}}, Code::Unsupported, "method"},
        Bad{"more_entries_than_room", {.entries = {{"a", "abc"}}, .count_change = 1}, Code::Corrupt, "too short"},
        Bad{"directory_elsewhere", {.entries = {{"a", "abc"}}, .directory_change = 5}, Code::Corrupt, "no directory"},
        Bad{"name_too_long", {{{std::string(5000, 'n'), "abc"}}}, Code::Limit, "name is too long"}),
    row_name);

TEST(ZipReader, ACutFileIsSaidToLackTheDirectoryAtItsEnd) {
  const std::string file = bytes_of({{{"a", "abc"}, {"b", kLong}}});
  for (const std::size_t length : {std::size_t{4}, file.size() / 2, file.size() - 1}) {
    try {
      reader(file.substr(0, length));
      FAIL();
    } catch (const Error& error) {
      EXPECT_EQ(error.code, Code::Corrupt);
      EXPECT_NE(error.what_happened.find("at the end"), std::string::npos) << error.what();
      EXPECT_NE(error.found.find("bytes"), std::string::npos) << error.what();
    }
  }
}

// What PyTorch wrote (sizes behind the bytes) and what other tools wrote (sizes in front) are both found again.
TEST(ZipReader, SalvageFindsTheWholeEntriesOfACutFile) {
  const std::string file =
      bytes_of({{{.name = "r/data.pkl", .content = "pickle", .sizes_follow = true},
                 {.name = "r/data/0", .content = "PK\7\10 bytes that look like an end", .sizes_follow = true},
                 {"r/data/1", "front"},
                 {.name = "r/data/2", .content = kLong, .sizes_follow = true}}});
  const std::string cut = file.substr(0, file.find("qqqq") + 1000);
  EXPECT_THROW(reader(cut), Error);
  const ZipReader zip = reader(cut, ZipDamage::Salvage);
  EXPECT_EQ(zip.entries().size(), 3U);
  EXPECT_EQ(content_of(zip, "r/data.pkl"), "pickle");
  EXPECT_EQ(content_of(zip, "r/data/0"), "PK\7\10 bytes that look like an end");
  EXPECT_EQ(content_of(zip, "r/data/1"), "front");
  EXPECT_EQ(zip.find("r/data/2"), nullptr);
  EXPECT_FALSE(zip.warnings().empty());
}

TEST(ZipReader, SalvageReadsWhatTenonsOwnWriterLeftUnfinished) {
  ZipWriter writer;
  writer.add("r/data.pkl", "pickle");
  writer.add("r/data/0", kLong);
  std::string file;
  writer.write([&](std::span<const std::byte> piece) { file += base::as_text(piece); });
  const std::string cut = file.substr(0, file.rfind("PK\1\2") - 1);
  const ZipReader zip = reader(cut, ZipDamage::Salvage);
  EXPECT_EQ(content_of(zip, "r/data.pkl"), "pickle");
}

TEST(ZipReader, NoChecksumsAtAllIsNoDamage) {
  Archive archive{{{"a", "abc"}, {"b", "x"}}};
  for (Made& made : archive.entries) made.crc_change = -static_cast<std::int64_t>(base::crc32(as_bytes(made.content)));
  const std::string file = bytes_of(archive);
  const ZipReader zip = reader(file);
  EXPECT_FALSE(zip.has_checksums());
  EXPECT_EQ(content_of(zip, "a"), "abc");
  archive.entries[1].crc_change = 0;  // one that has its checksum: then zero is wrong for the other
  const std::string half = bytes_of(archive);
  EXPECT_TRUE(reader(half).has_checksums());
  EXPECT_THROW(content_of(reader(half), "a"), Error);
}

TEST(ZipReader, ABombIsRefusedBeforeAnythingIsAllocated) {
  Archive archive{{{.name = "a", .content = std::string(100'000, '\0'), .method = kZipDeflated}}};
  const std::string file = bytes_of(archive);
  Limits limits;
  limits.inflate_ratio = 100;
  EXPECT_THROW(content_of(reader(file, ZipDamage::Refuse, limits), "a"), Error);
  EXPECT_EQ(content_of(reader(file), "a").size(), 100'000U);
  limits = {};
  limits.inflated_record_bytes = 99'999;
  EXPECT_THROW(content_of(reader(file, ZipDamage::Refuse, limits), "a"), Error);
  limits = {};
  limits.zip_entries = 0;
  EXPECT_THROW(reader(file, ZipDamage::Refuse, limits), Error);
}

TEST(ZipReader, FindsEachOfManyEntries) {
  Archive archive;
  for (int i = 0; i < 3000; ++i) archive.entries.push_back({"r/data/" + std::to_string(i), std::to_string(i * 7)});
  const std::string file = bytes_of(archive);
  const ZipReader zip = reader(file);
  for (int i = 0; i < 3000; ++i) ASSERT_EQ(content_of(zip, "r/data/" + std::to_string(i)), std::to_string(i * 7));
  EXPECT_EQ(zip.find("r/data/3000"), nullptr);
}

TEST(ZipReader, IsToldByItsBeginningOrByAnEndThatFits) {
  const std::string file = bytes_of({{{"a", "abc"}}});
  EXPECT_TRUE(begins_like_zip(as_bytes(file)));
  EXPECT_TRUE(ends_like_zip(as_bytes(file)));
  EXPECT_FALSE(ends_like_zip(as_bytes(file + "x")));
  const std::string chance = "numbers PK\5\6 and more numbers than a comment length would say";
  EXPECT_FALSE(begins_like_zip(as_bytes(chance)));
  EXPECT_FALSE(ends_like_zip(as_bytes(chance)));
}

TEST(ZipReader, EveryCutAndEveryFlippedBitIsAnErrorOrAnAnswer) {
  const std::string good = bytes_of({.entries = {{.name = "r/a", .content = "abc", .sizes_follow = true},
                                                 {"r/b", kLong.substr(0, 200), kZipDeflated}},
                                     .end64 = true});
  const auto read_all = [&](const std::string& file, ZipDamage damage) {
    try {
      const ZipReader zip = reader(file, damage);
      for (const ZipEntry& entry : zip.entries()) {
        std::vector<std::byte> unpacked;
        (void)zip.read(entry, unpacked);
      }
      return true;
    } catch (const Error&) {
      return false;
    }
  };
  ASSERT_TRUE(read_all(good, ZipDamage::Refuse));
  for (std::size_t length = 0; length < good.size(); ++length) {
    EXPECT_FALSE(read_all(good.substr(0, length), ZipDamage::Refuse)) << length;
    read_all(good.substr(0, length), ZipDamage::Salvage);
  }
  for (std::size_t bit = 0; bit < good.size() * 8; ++bit) {
    std::string bytes = good;
    bytes[bit / 8] = static_cast<char>(bytes[bit / 8] ^ (1 << (bit % 8)));
    read_all(bytes, ZipDamage::Refuse);
    read_all(bytes, ZipDamage::Salvage);
  }
}

}  // namespace
}  // namespace tenon::container
