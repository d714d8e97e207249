#include "container/zip_writer.hpp"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include <tenon/error.hpp>

#include "base/cursor.hpp"
#include "base/digest.hpp"

namespace tenon::container {
namespace {

std::string written(const ZipWriter& zip) {
  std::string bytes;
  zip.write([&](std::span<const std::byte> piece) { bytes += base::as_text(piece); });
  EXPECT_EQ(bytes.size(), zip.file_bytes());
  return bytes;
}

/// One row of a central directory, read by the specification and not by tenon's reader.
struct Row {
  std::string name;
  std::uint64_t crc, nbytes, offset;
};
std::vector<Row> directory(const std::string& file, std::uint64_t start, std::uint64_t count) {
  base::Cursor in(base::as_bytes(file), "zip");
  in.seek(start);
  std::vector<Row> rows;
  for (std::uint64_t i = 0; i < count; ++i) {
    EXPECT_EQ(in.u32("signature"), 0x02014b50U);
    in.skip(4, "versions");
    EXPECT_EQ(in.u16("flags"), 0x0808U);
    EXPECT_EQ(in.u16("method"), 0U);
    EXPECT_EQ(in.u32("time"), 0U);
    Row row{};
    row.crc = in.u32("crc");
    row.nbytes = in.u32("packed");
    EXPECT_EQ(in.u32("unpacked"), row.nbytes);
    const std::uint16_t name = in.u16("name"), extra = in.u16("extra");
    in.skip(10, "comment, disk, attributes");
    row.offset = in.u32("offset");
    row.name = in.text(name, "name");
    in.skip(extra, "extra");
    rows.push_back(row);
  }
  return rows;
}

TEST(ZipWriter, PayloadsAreAlignedAndFollowedByTheirSizes) {
  ZipWriter zip;
  const std::vector<std::string> contents{"", "x", std::string(63, 'y'), std::string(1000, 'z')};
  for (const std::string& content : contents) zip.add("root/" + std::to_string(content.size()), content);
  const std::string file = written(zip);

  base::Cursor end(base::as_bytes(file), "zip");
  end.seek(file.size() - 22);
  EXPECT_EQ(end.u32("signature"), 0x06054b50U);
  end.skip(6, "disks");
  EXPECT_EQ(end.u16("entries"), contents.size());
  end.skip(4, "size of the directory");
  const auto rows = directory(file, end.u32("directory"), contents.size());
  for (std::size_t i = 0; i < rows.size(); ++i) {
    base::Cursor local(base::as_bytes(file), "zip");
    local.seek(rows[i].offset);
    EXPECT_EQ(local.u32("signature"), 0x04034b50U);
    local.skip(22, "fields");
    const std::uint16_t name = local.u16("name"), extra = local.u16("extra");
    EXPECT_EQ(local.text(name, "name"), rows[i].name);
    local.skip(extra, "extra");
    EXPECT_EQ(local.position() % 64, 0U);
    EXPECT_EQ(local.text(rows[i].nbytes, "payload"), contents[i]);
    EXPECT_EQ(rows[i].crc, base::crc32(base::as_bytes(contents[i])));
    EXPECT_EQ(local.u32("descriptor"), 0x08074b50U);
    EXPECT_EQ(local.u32("crc"), rows[i].crc);
    EXPECT_EQ(local.u32("size"), contents[i].size());
  }
}

TEST(ZipWriter, MoreThan65534EntriesTakeZip64) {
  ZipWriter zip;
  constexpr std::uint64_t kCount = 65'536;
  for (std::uint64_t i = 0; i < kCount; ++i) zip.add(std::to_string(i), std::string());
  const std::string file = written(zip);
  base::Cursor end(base::as_bytes(file), "zip");
  end.seek(file.size() - 22 - 20 - 56);
  EXPECT_EQ(end.u32("zip64 end"), 0x06064b50U);
  end.skip(20, "sizes, versions, disks");
  EXPECT_EQ(end.u64("entries here"), kCount);
  EXPECT_EQ(end.u64("entries"), kCount);
  const std::uint64_t directory_bytes = end.u64("size"), start = end.u64("start");
  EXPECT_EQ(start + directory_bytes, file.size() - 22 - 20 - 56);
  EXPECT_EQ(end.u32("locator"), 0x07064b50U);
  EXPECT_EQ(directory(file, start, kCount).back().name, "65535");
}

TEST(ZipWriter, AWriterThatBreaksItsWordIsABug) {
  ZipWriter zip;
  zip.add("a", 3, [](const base::Sink& sink) { sink(base::as_bytes("12")); });
  EXPECT_THROW(zip.write([](std::span<const std::byte>) {}), Bug);
}

}  // namespace
}  // namespace tenon::container
