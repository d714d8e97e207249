#include "formats/torchsharp.hpp"

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "base/cursor.hpp"
#include "formats/detect.hpp"
#include "support/folder.hpp"

namespace tenon::formats {
namespace {

std::string leb(std::uint64_t value) {
  std::string bytes;
  do {
    bytes += static_cast<char>(static_cast<unsigned char>((value & 0x7F) | (value > 0x7F ? 0x80 : 0)));
    value >>= 7;
  } while (value > 0);
  return bytes;
}
std::string name(std::string_view text) { return leb(text.size()) + std::string(text); }
std::string tensor(std::uint64_t type, const std::vector<std::uint64_t>& shape, const std::string& elements) {
  std::string bytes = leb(type) + leb(shape.size());
  for (const std::uint64_t extent : shape) bytes += leb(extent);
  return bytes + elements;
}
const std::string kHalf("\0\0\0\0\0\0\xe0\x3f", 8);  // 0.5
const std::string kOne("\1\0\0\0\0\0\0\0", 8);
const std::string kFloats(12, 'f');

struct SharpFiles : test::TemporaryFolder {
  std::shared_ptr<CheckpointCore> open(std::string_view bytes, Salvage salvage = Salvage::No) const {
    test::put(path("f"), bytes);
    OpenOptions options;
    options.salvage = salvage;
    return open_torchsharp({path("f"), io::MappedFile::open(path("f"), ReadMode::Map), options});
  }
};

const std::string kStateDict = leb(3) + name("fc.weight") + tensor(6, {1, 3}, kFloats) + name("fc.bias") +
                               tensor(15, {2}, "bbbb") + name("big") + tensor(0, {200}, std::string(200, 'u'));

TEST_F(SharpFiles, ReadsAStateDict) {
  EXPECT_EQ(detect(base::as_bytes(kStateDict), "f"), Known::TorchSharp);
  const auto core = open(kStateDict);
  EXPECT_EQ(core->format, Format::TorchSharp);
  ASSERT_EQ(core->tensors.size(), 3U);
  EXPECT_EQ(core->tensors[0].name, "fc.weight");
  EXPECT_EQ(core->tensors[0].dtype, DType::Float32);
  EXPECT_EQ(core->tensors[0].shape, (Shape{1, 3}));
  EXPECT_EQ(core->tensors[1].dtype, DType::BFloat16);
  EXPECT_EQ(core->tensors[2].shape, (Shape{200}));
  EXPECT_EQ(base::as_text(core->bytes_of(core->tensors[1].storage).view), "bbbb");
}

TEST_F(SharpFiles, ReadsABareTensorAndAStateDictOfOne) {
  const std::string bare = tensor(6, {3}, kFloats), one = leb(1) + name("w") + bare;
  EXPECT_EQ(detect(base::as_bytes(bare), "f"), Known::TorchSharp);
  EXPECT_EQ(detect(base::as_bytes(one), "f"), Known::TorchSharp);
  ASSERT_EQ(open(bare)->tensors.size(), 1U);
  EXPECT_EQ(open(bare)->tensors[0].name, "");
  ASSERT_EQ(open(one)->tensors.size(), 1U);
  EXPECT_EQ(open(one)->tensors[0].name, "w");
  EXPECT_EQ(open(one)->tensors[0].shape, (Shape{3}));
}

TEST_F(SharpFiles, ReadsOptimizers) {
  const std::string options = kHalf + kHalf + kHalf + kHalf + kHalf + kHalf + std::string("\1\0", 2);
  const std::string state = kOne + tensor(6, {3}, kFloats) + tensor(6, {3}, kFloats);
  const std::string file =
      name("AdamW") + leb(1) + leb(2) + options + state + std::string("\0", 1) + state + "\1" + tensor(6, {3}, kFloats);
  EXPECT_EQ(detect(base::as_bytes(file), "f"), Known::TorchSharp);
  const auto core = open(file);
  ASSERT_EQ(core->tensors.size(), 5U);
  EXPECT_EQ(core->tensors[0].name, "state.0.exp_avg");
  EXPECT_EQ(core->tensors[4].name, "state.1.max_exp_avg_sq");
  ASSERT_EQ(core->objects.size(), 10U);
  EXPECT_EQ(core->objects[0].name, "param_groups.0.initial_lr");
  EXPECT_EQ(std::get<double>(core->objects[0].value.is), 0.5);
  EXPECT_EQ(core->objects[8].name, "state.0.step");
}

struct Bad {
  const char* name;
  std::string file;
  std::string what;
};
void PrintTo(const Bad& bad, std::ostream* out) { *out << bad.name; }
class BadSharp : public SharpFiles, public testing::WithParamInterface<Bad> {};

TEST_P(BadSharp, IsRefusedWithItsPlace) {
  try {
    open(GetParam().file);
    FAIL() << "it was opened";
  } catch (const Error& error) {
    EXPECT_EQ(error.where.file, path("f"));
    EXPECT_TRUE(error.where.byte) << error.what();
    EXPECT_NE(std::string(error.what()).find(GetParam().what), std::string::npos) << error.what();
  }
}

const std::string kTwo = leb(2) + name("a") + tensor(0, {1}, "x");
INSTANTIATE_TEST_SUITE_P(
    Table, BadSharp,
    testing::Values(Bad{"count", leb(1ULL << 40), "too many tensors"},
                    Bad{"number_too_great", std::string(12, '\xff'), "too great"},
                    Bad{"name_beyond_the_end", leb(1) + leb(1ULL << 40) + "a....", "end within"},
                    Bad{"name_of_controls", leb(1) + name("a\nb") + tensor(0, {1}, "x"), "no text"},
                    Bad{"name_twice", kTwo + name("a") + tensor(0, {1}, "x"), "stands twice"},
                    Bad{"type", kTwo + name("b") + tensor(8, {1}, "x"), "type of the tensor"},
                    Bad{"type_without_number", kTwo + name("b") + tensor(4711, {1}, "x"), "no number"},
                    Bad{"rank", kTwo + name("b") + leb(0) + leb(1000), "too many dimensions"},
                    Bad{"overflow", kTwo + name("b") + tensor(7, {1ULL << 32, 1ULL << 32}, "x"), "64 bits"},
                    Bad{"cut", kTwo + name("b") + tensor(7, {2}, "x"), "ends within the tensor"},
                    Bad{"trailing", kTwo + name("b") + tensor(0, {1}, "x") + "yz", "bytes follow"},
                    Bad{"truth_2", name("SGD") + leb(0) + leb(1) + "\2", "truth value"}),
    [](const auto& row) { return std::string(row.param.name); });

TEST(LooksLikeTorchSharp, OtherFilesAreNone) {
  for (const std::string& no : {std::string("hello, this is a text of some length\n"), std::string(64, '\0'),
                                std::string("\x08\x07\x12\x04onnx", 8), std::string("\x02\x01", 2)})
    EXPECT_FALSE(looks_like_torchsharp(base::as_bytes(no))) << no;
}

TEST_F(SharpFiles, EveryTruncationIsAnErrorAndSalvageTakesWhatIsWhole) {
  for (std::size_t size = 0; size < kStateDict.size(); ++size)
    EXPECT_THROW(open(kStateDict.substr(0, size)), Error) << size;
  const auto core = open(kStateDict.substr(0, kStateDict.size() - 1), Salvage::Yes);
  EXPECT_EQ(core->tensors.size(), 2U);
  EXPECT_EQ(core->warnings.size(), 1U);
}

}  // namespace
}  // namespace tenon::formats
