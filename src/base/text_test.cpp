#include "base/text.hpp"

#include <gtest/gtest.h>

#include <limits>

#include "base/cursor.hpp"
#include "base/digest.hpp"
#include "base/whole_root.hpp"

namespace tenon::base {
namespace {

TEST(Text, NumbersAreReadable) {
  EXPECT_EQ(count_text(0), "0");
  EXPECT_EQ(count_text(999), "999");
  EXPECT_EQ(count_text(11'689'512), "11,689,512");
  EXPECT_EQ(bytes_text(1), "1 byte");
  EXPECT_EQ(bytes_text(999), "999 bytes");
  EXPECT_EQ(bytes_text(46'830'571), "46.8 MB");
  EXPECT_EQ(bytes_text(999'999), "1.0 MB");
  EXPECT_EQ(plural(1, "entry"), "1 entry");
  EXPECT_EQ(plural(3, "entry"), "3 entries");
  EXPECT_EQ(plural(2'000, "key"), "2,000 keys");
  EXPECT_EQ(shape_text(std::vector<std::int64_t>{64, 3}), "[64, 3]");
  EXPECT_EQ(shape_text(std::vector<std::int64_t>{}), "[]");
}

TEST(WholeRoot, IsExactForEveryNumber) {
  EXPECT_EQ(whole_root(0), 0);
  EXPECT_EQ(whole_root(256), 16);
  EXPECT_EQ(whole_root(257), std::nullopt);
  EXPECT_EQ(whole_root(-4), std::nullopt);
  EXPECT_EQ(whole_root(3'037'000'499LL * 3'037'000'499LL), 3'037'000'499LL);  // the largest square
  EXPECT_EQ(whole_root(std::numeric_limits<std::int64_t>::max()), std::nullopt);
}

TEST(Text, GlobsMatchWholeNames) {
  EXPECT_TRUE(glob_match("fc.*", "fc.weight"));
  EXPECT_FALSE(glob_match("fc.*", "xfc.weight"));
  EXPECT_TRUE(glob_match("*", ""));
  EXPECT_TRUE(glob_match("a?c", "abc"));
  EXPECT_FALSE(glob_match("a?c", "ac"));
  EXPECT_TRUE(glob_match("*.bn*.weight", "layer1.bn1.weight"));
  EXPECT_FALSE(glob_match("", "a"));
}

TEST(Text, AGlobOfManyStarsEndsSoon) {
  std::string pattern, text(20'000, 'a');
  for (int i = 0; i < 50; ++i) pattern += "a*";
  EXPECT_FALSE(glob_match(pattern + "b", text));
}

TEST(Text, NearestNamesComeFirst) {
  const std::vector<std::string_view> names{"fc.bias", "fc.weight", "conv1.weight", "completely.other.name"};
  const auto found = nearest("fc.wieght", names, 2);
  ASSERT_FALSE(found.empty());
  EXPECT_EQ(found.front(), "fc.weight");
}

TEST(Digest, KnownAnswers) {  // FIPS 180-2 appendix B.1; the check value of CRC-32
  Sha256 sha;
  sha.update(as_bytes("a"));
  sha.update(as_bytes("bc"));
  EXPECT_EQ(sha.hex(), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  EXPECT_EQ(crc32(as_bytes("123456789")), 0xCBF43926U);
  EXPECT_EQ(crc32(as_bytes("6789"), crc32(as_bytes("12345"))), 0xCBF43926U);
}

}  // namespace
}  // namespace tenon::base
