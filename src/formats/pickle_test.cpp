#include "formats/pickle.hpp"

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "base/cursor.hpp"
#include "formats/detect.hpp"
#include "support/folder.hpp"

namespace tenon::formats {
namespace {

// ---- opcodes, as the picklers write them

std::string number(std::uint64_t value, std::size_t width) {
  std::string bytes;
  for (std::size_t i = 0; i < width; ++i) bytes += static_cast<char>(static_cast<unsigned char>(value >> (8 * i)));
  return bytes;
}
std::string integer(std::int32_t value) { return "J" + number(static_cast<std::uint32_t>(value), 4); }
std::string text(std::string_view value) { return "X" + number(value.size(), 4) + std::string(value); }
std::string raw(std::string_view value) { return "T" + number(value.size(), 4) + std::string(value); }
std::string global(std::string_view module, std::string_view name) {
  return "c" + std::string(module) + "\n" + std::string(name) + "\n";
}
std::string tuple(const std::vector<std::string>& items) {
  std::string bytes = "(";
  for (const std::string& item : items) bytes += item;
  return bytes + "t";
}
std::string dict(const std::vector<std::pair<std::string, std::string>>& items) {
  std::string bytes = "}(";
  for (const auto& [key, value] : items) bytes += text(key) + value;
  return bytes + "u";
}
std::string pickled(const std::string& opcodes, int protocol = 2) {
  return "\x80" + number(static_cast<std::uint64_t>(protocol), 1) + opcodes + ".";
}
std::string dtype(std::string_view code, std::string_view order = "<") {
  return global("numpy", "dtype") + tuple({raw(code), integer(0), integer(1)}) + "R" +
         tuple({integer(3), raw(order), "N", "N", "N", integer(-1), integer(-1), integer(0)}) + "b";
}
std::string array(const std::string& shape, const std::string& type, const std::string& elements,
                  bool fortran = false) {
  return global("numpy.core.multiarray", "_reconstruct") +
         tuple({global("numpy", "ndarray"), tuple({integer(0)}), raw("b")}) + "R" +
         tuple({integer(1), shape, type, fortran ? "\x88" : "\x89", elements}) + "b";
}
std::string wrapper(const std::string& shape, const std::string& type, std::string_view order, bool padded) {
  std::vector<std::pair<std::string, std::string>> state = {{"subclass", global("numpy", "ndarray")},
                                                            {"shape", shape},
                                                            {"order", text(order)},
                                                            {"dtype", type},
                                                            {"allow_mmap", "\x88"}};
  if (padded) state.emplace_back("numpy_array_alignment_bytes", integer(16));
  return global("joblib.numpy_pickle", "NumpyArrayWrapper") + ")\x81" + dict(state) + "b";
}

const std::string kPair = tuple({integer(2)});
const std::string kEight = "01234567";

struct PickleFiles : test::TemporaryFolder {
  std::shared_ptr<CheckpointCore> open(std::string_view bytes) const {
    test::put(path("f"), bytes);
    return open_pickle({path("f"), io::MappedFile::open(path("f"), ReadMode::Map), {}});
  }
};

TEST_F(PickleFiles, LaterValuesTakeThePlaceOfEarlierOnesOfTheirKey) {
  std::string items;
  for (const int value : {1, 2})
    for (int i = 0; i < 500; ++i) {
      const std::string far = "\x8a\x08" + number(static_cast<std::uint64_t>(i) << 40U, 8);  // equal in its lower bits
      items += text("key" + std::to_string(i)) + integer(value) + far + integer(value);
    }
  const auto core = open(pickled("}(" + items + text("w") + array(kPair, dtype("f4"), raw(kEight)) + "u"));
  ASSERT_EQ(core->objects.size(), 1000U);
  for (const Object& object : core->objects) EXPECT_EQ(std::get<std::int64_t>(object.value.is), 2) << object.name;
}

// ---- what is read

struct Case {
  const char* name;
  std::string file;
  std::string tensor;  ///< its name
  DType dtype;
  Shape shape;
  std::string bytes;  ///< row-major, little-endian
};
void PrintTo(const Case& row, std::ostream* out) { *out << row.name; }
class Arrays : public PickleFiles, public testing::WithParamInterface<Case> {};

TEST_P(Arrays, AreListedWithTheirBytes) {
  ASSERT_TRUE(looks_like_pickle(base::as_bytes(GetParam().file)));
  EXPECT_EQ(detect(base::as_bytes(GetParam().file), "f"), Known::Pickle);
  const auto core = open(GetParam().file);
  EXPECT_EQ(core->format, Format::Pickle);
  ASSERT_EQ(core->tensors.size(), 1U);
  EXPECT_EQ(core->tensors[0].name, GetParam().tensor);
  EXPECT_EQ(core->tensors[0].dtype, GetParam().dtype);
  EXPECT_EQ(core->tensors[0].shape, GetParam().shape);
  std::string bytes(GetParam().bytes.size(), '\0');
  copy_dense(Checkpoint(core).tensor(std::size_t{0}), std::as_writable_bytes(std::span(bytes)));
  EXPECT_EQ(bytes, GetParam().bytes);
  EXPECT_TRUE(core->warnings.empty()) << core->warnings[0];
}

INSTANTIATE_TEST_SUITE_P(
    Table, Arrays,
    testing::Values(
        Case{"Bare", pickled(array(kPair, dtype("f4"), raw(kEight))), "", DType::Float32, {2}, kEight},
        Case{"Python2Bytes",
             pickled(dict({{"w", array(kPair, dtype("f4"),
                                       raw("\xff\xfe\x80\x7f"
                                           "abcd"))}})),
             "w",
             DType::Float32,
             {2},
             "\xff\xfe\x80\x7f"
             "abcd"},
        Case{"Latin1Text",
             pickled(dict({{"w", array(kPair, dtype("f4"),
                                       text("\xc3\xbf\xc2\x80"
                                            "234567"))}})),
             "w",
             DType::Float32,
             {2},
             "\xff\x80"
             "234567"},
        Case{"Encoded",
             pickled(dict({{"w", array(kPair, dtype("f4"),
                                       global("_codecs", "encode") +
                                           tuple({text("\xc3\xbf"
                                                       "1234567"),
                                                  text("latin1")}) +
                                           "R")}})),
             "w",
             DType::Float32,
             {2},
             "\xff"
             "1234567"},
        Case{"BigEndian",
             pickled("]" + array(kPair, dtype("f4", ">"), raw(kEight)) + "a"),
             "0",
             DType::Float32,
             {2},
             "32107654"},
        Case{"Fortran",
             pickled(array(tuple({integer(2), integer(2)}), dtype("i2"), raw(kEight), true)),
             "",
             DType::Int16,
             {2, 2},
             "01452367"},
        Case{"Protocol0",
             "(dp0\nS'w'\np1\ncnumpy.core.multiarray\n_reconstruct\np2\n(cnumpy\nndarray\np3\n(I0\ntp4\nS'b'"
             "\np5\ntp6\nRp7\n"
             "(I1\n(I2\ntp8\ncnumpy\ndtype\np9\n(S'i1'\np10\nI0\nI1\ntp11\nRp12\n(I3\nS'|'\np13\nNNNI-1\nI-"
             "1\nI0\ntp14\nbI00\n"
             "S'\\xff\\x01'\np15\ntp16\nbs.",
             "w",
             DType::Int8,
             {2},
             "\xff\x01"},
        Case{"Joblib", pickled(wrapper(kPair, dtype("f4"), "C", false) + kEight, 3), "", DType::Float32, {2}, kEight},
        Case{"JoblibPadded",
             pickled(dict({{"w", wrapper(kPair, dtype("f4"), "C", true) +
                                     "\x03"
                                     "\xff\xff\xff" +
                                     kEight}}),
                     4),
             "w",
             DType::Float32,
             {2},
             kEight},
        Case{"JoblibFortran",
             pickled(wrapper(tuple({integer(2), integer(2)}), dtype("i2"), "F", false) + kEight, 3),
             "",
             DType::Int16,
             {2, 2},
             "01452367"},
        Case{"JoblibObjectsBeside",
             pickled(dict({{"o", wrapper(kPair, dtype("O", "|"), "C", false) + pickled("](NNe")},
                           {"w", wrapper(kPair, dtype("f4"), "C", false) + kEight}}),
                     3),
             "w",
             DType::Float32,
             {2},
             kEight}),
    [](const auto& row) { return std::string(row.param.name); });

TEST_F(PickleFiles, TheFirstPickleIsTheObjectAndTheRestIsSaid) {
  const std::string first = pickled(dict({{"w", array(kPair, dtype("f4"), raw(kEight))}}));
  const auto core = open(first + pickled(dict({{"v", array(kPair, dtype("f4"), raw(kEight))}})) + pickled("N") + "xyz");
  ASSERT_EQ(core->tensors.size(), 1U);
  EXPECT_EQ(core->tensors[0].name, "w");
  ASSERT_EQ(core->warnings.size(), 2U);
  EXPECT_NE(core->warnings[0].find("2 more pickles follow"), std::string::npos);
  EXPECT_NE(core->warnings[1].find("3 bytes"), std::string::npos);
}

TEST_F(PickleFiles, AnArchivesPickleAloneHasShapesAndNoBytes) {
  const std::string id =
      tuple({text("storage"), global("torch", "FloatStorage"), text("0"), text("cpu"), integer(6)}) + "Q";
  const auto core = open(pickled(dict({{"w", global("torch._utils", "_rebuild_tensor_v2") +
                                                 tuple({id, integer(0), tuple({integer(2), integer(3)}),
                                                        tuple({integer(3), integer(1)}), "\x89", "}"}) +
                                                 "R"}})));
  ASSERT_EQ(core->tensors.size(), 1U);
  EXPECT_EQ(core->tensors[0].storage, kNoStorage);
  EXPECT_EQ(core->tensors[0].shape, (Shape{2, 3}));
  ASSERT_EQ(core->warnings.size(), 1U);
}

// pickle.dump of a tensor: the storage is a stream of torch.save of its own, in a bytes object.
std::string nested_storage(std::uint64_t count, const std::string& elements) {
  const std::string id = tuple({text("storage"), global("torch", "FloatStorage"), text("0"), text("cpu"),
                                integer(static_cast<std::int32_t>(count)), "N"});
  return pickled("\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19") + pickled("M\xe9\x03") + pickled("}") +
         pickled(id + "Q") + pickled("](" + text("0") + "e") + number(count, 8) + elements;
}
std::string tensor_of(const std::string& stream) {
  const std::string storage =
      global("torch.storage", "_load_from_bytes") + "B" + number(stream.size(), 4) + stream + "\x85R";
  return global("torch._utils", "_rebuild_tensor_v2") +
         tuple({storage, integer(1), tuple({integer(2)}), tuple({integer(1)}), "\x89", "}"}) + "R";
}

TEST_F(PickleFiles, TensorsOfTorchBringTheirStorages) {
  const auto core = open(pickled(dict({{"w", tensor_of(nested_storage(3, "0123" + kEight))}}), 3));
  ASSERT_EQ(core->tensors.size(), 1U);
  EXPECT_EQ(core->tensors[0].name, "w");
  EXPECT_EQ(core->tensors[0].dtype, DType::Float32);
  std::string bytes(8, '\0');
  copy_dense(Checkpoint(core).tensor(std::size_t{0}), std::as_writable_bytes(std::span(bytes)));
  EXPECT_EQ(bytes, kEight) << "from the second element on";
  EXPECT_EQ(core->storages[0].device, "cpu");
}

TEST_F(PickleFiles, ANestedStorageThatContradictsItselfIsRefused) {
  for (const std::string& stream :
       {nested_storage(4, "0123" + kEight), std::string("no stream"), nested_storage(2, kEight)})
    EXPECT_THROW(open(pickled(dict({{"w", tensor_of(stream)}}), 3)), Error);
}

TEST_F(PickleFiles, ValuesWithoutTensorsAreAnAnswer) {
  const auto core = open(pickled(dict({{"epoch", integer(3)}})));
  EXPECT_TRUE(core->tensors.empty());
  EXPECT_EQ(core->objects.size(), 1U);
}

// ---- what is none, and what is damaged

TEST(LooksLikePickle, TextsAreNone) {
  for (const char* no : {"", "c", "cat\ndog\nhello", "(hello world) this is text", "import torch\n",
                         "Lorem ipsum dolor\n", "I am a text, the first of many lines.\n", "{\"a\": 1}", "Value: 3\n"})
    EXPECT_FALSE(looks_like_pickle(base::as_bytes(no))) << no;
}

TEST_F(PickleFiles, ALegacyFileWithAnotherMagicNumberIsNoPickle) {
  EXPECT_THROW(open(pickled(integer(7)) + pickled("M\xe9\x03") + pickled("}")), Error);
  EXPECT_NO_THROW(open(pickled(integer(7)) + pickled("N")));
}

bool survives(const PickleFiles& files, const std::string& bytes) {
  try {
    const auto core = files.open(bytes);
    for (const TensorInfo& tensor : core->tensors)
      if (tensor.storage != kNoStorage) (void)core->bytes_of(tensor.storage);
    return true;
  } catch (const Error& error) {
    EXPECT_EQ(error.where.file, files.path("f")) << error.what();
    return false;
  }
}

const std::string kJoblib = pickled(dict({{"o", wrapper(kPair, dtype("O", "|"), "C", false) + pickled("](NNe")},
                                          {"w", wrapper(kPair, dtype("f4"), "C", true) + "\x01\xff" + kEight}}),
                                    4);

TEST_F(PickleFiles, EveryTruncationIsAnError) {
  ASSERT_TRUE(survives(*this, kJoblib));
  for (std::size_t size = 0; size < kJoblib.size(); ++size)
    EXPECT_FALSE(survives(*this, kJoblib.substr(0, size))) << size;
}

TEST_F(PickleFiles, EveryChangedByteIsAnErrorOrAnAnswer) {
  for (std::size_t at = 0; at < kJoblib.size(); ++at)
    for (const int value : {0x00, 0xff, 0x80, 0x28, 0x2e, kJoblib[at] ^ 1}) {
      std::string damaged = kJoblib;
      damaged[at] = static_cast<char>(value);
      (void)survives(*this, damaged);
    }
}

}  // namespace
}  // namespace tenon::formats
