#include "formats/npy.hpp"

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "base/cursor.hpp"
#include "support/folder.hpp"

namespace tenon::formats {
namespace {

/// An array of version `major`.0 with this header text as it is.
std::string npy(const std::string& header, const std::string& data, int major = 1) {
  std::string file(kNpyMagic);
  file += static_cast<char>(major);
  file += '\0';
  for (int i = 0; i < (major == 1 ? 2 : 4); ++i) file += static_cast<char>(header.size() >> (8 * i) & 0xFF);
  return file + header + data;
}

std::string header(const std::string& descr, const std::string& shape, const std::string& order = "False") {
  return "{'descr': " + descr + ", 'fortran_order': " + order + ", 'shape': " + shape + ", }\n";
}

std::string counting(std::size_t bytes) {
  std::string out;
  for (std::size_t i = 0; i < bytes; ++i) out += static_cast<char>(i);
  return out;
}

struct NpyFiles : test::TemporaryFolder {
  std::shared_ptr<CheckpointCore> open(std::string_view bytes, const Limits& limits = {}) const {
    test::put(path("f"), bytes);
    return open_npy({path("f"), io::MappedFile::open(path("f"), ReadMode::Map), {.limits = limits}});
  }
};

/// Dense bytes of a listed tensor, in hexadecimal.
std::string bytes_of(const std::shared_ptr<CheckpointCore>& core, std::size_t index) {
  std::string out;
  constexpr char kDigits[] = "0123456789abcdef";
  for_each_block(Checkpoint(core).tensor(index), [&](std::span<const std::byte> piece) {
    for (const std::byte byte : piece) {
      out += kDigits[std::to_integer<int>(byte) >> 4];
      out += kDigits[std::to_integer<int>(byte) & 15];
    }
  });
  return out;
}

/// `name dtype [shape] bytes` of every row.
std::vector<std::string> rows_of(const std::shared_ptr<CheckpointCore>& core) {
  std::vector<std::string> rows;
  for (std::size_t i = 0; i < core->tensors.size(); ++i) {
    const TensorInfo& row = core->tensors[i];
    std::string shape;
    for (const std::int64_t extent : row.shape) shape += (shape.empty() ? "" : ",") + std::to_string(extent);
    rows.push_back(row.name + " " + std::string(dtype_name(row.dtype)) + " [" + shape + "] " +
                   (row.storage == kNoStorage ? "-" : bytes_of(core, i)));
  }
  return rows;
}

// ---- what is read

struct Good {
  const char* name;
  std::string file;
  std::vector<std::string> rows;
};
void PrintTo(const Good& good, std::ostream* out) { *out << good.name; }

class GoodArray : public NpyFiles, public testing::WithParamInterface<Good> {};

TEST_P(GoodArray, IsListedWithItsBytes) { EXPECT_EQ(rows_of(open(GetParam().file)), GetParam().rows); }

INSTANTIATE_TEST_SUITE_P(
    Table, GoodArray,
    testing::Values(
        Good{"plain", npy(header("'<i2'", "(2, 2)"), counting(8)), {" int16 [2,2] 0001020304050607"}},
        Good{"fortran", npy(header("'<i2'", "(2, 2)", "True"), counting(8)), {" int16 [2,2] 0001040502030607"}},
        Good{"fortran_3d", npy(header("'|u1'", "(2, 1, 3)", "True"), counting(6)), {" uint8 [2,1,3] 000204010305"}},
        Good{"big_endian", npy(header("'>i2'", "(2,)"), counting(4)), {" int16 [2] 01000302"}},
        Good{"big_endian_complex", npy(header("'>c8'", "(1,)"), counting(8)), {" complex64 [1] 0302010007060504"}},
        Good{"scalar", npy(header("'<f4'", "()"), counting(4)), {" float32 [] 00010203"}},
        Good{"empty", npy(header("'<f4'", "(0, 7)"), ""), {" float32 [0,7] "}},
        Good{"version_2", npy(header("'<f4'", "(1,)"), counting(4), 2), {" float32 [1] 00010203"}},
        Good{"version_3",
             npy(header("[('\xc3\xa9', '<f4')]", "(1,)"), counting(4), 3),
             {"\xc3\xa9 float32 [1] 00010203"}},
        Good{"latin1_field", npy(header("[('\xe9', '<f4')]", "(1,)"), counting(4)), {"\xc3\xa9 float32 [1] 00010203"}},
        Good{"python_2",
             npy("{'descr': u'<f4', 'fortran_order': False, 'shape': (1L,)}", counting(4)),
             {" float32 [1] 00010203"}},
        Good{"other_order_of_keys",
             npy("{\"shape\":[1],'fortran_order':False,\n'descr':'=f4'}", counting(4)),
             {" float32 [1] 00010203"}},
        Good{"bfloat16", npy(header("'<V2'", "(2,)"), counting(4)), {" bfloat16 [2] 00010203"}},
        Good{"void", npy(header("'|V3'", "(2,)"), counting(6)), {" uint8 [2,3] 000102030405"}},
        Good{"void_of_one_byte", npy(header("'|V1'", "(2,)"), counting(2)), {" uint8 [2] 0001"}},
        Good{"long_double",
             npy(header("'<f16'", "(1,)"), counting(16)),
             {" uint8 [1,16] 000102030405060708090a0b0c0d0e0f"}},
        Good{"dates", npy(header("'<M8[ns]'", "(1,)"), counting(8)), {" int64 [1] 0001020304050607"}},
        Good{"text", npy(header("'<U5'", "(2,)"), counting(40)), {" string [2] -"}},
        Good{"byte_text", npy(header("'|S3'", "()"), counting(3)), {" string [] -"}},
        Good{"fields",
             npy(header("[('x', '<i2'), ('y', '<i4', (2,))]", "(2,)"), counting(20)),
             {"x int16 [2] 00010a0b", "y uint8 [2,2,4] 02030405060708090c0d0e0f10111213"}},
        Good{"aligned_fields",
             npy(header("[('x', '|i1'), ('', '|V3'), ('y', '>i4')]", "(2,)"), counting(16)),
             {"x int8 [2] 0008", "y int32 [2] 070605040f0e0d0c"}},
        Good{"nested_fields",
             npy(header("[('a', [('b', '|u1'), ('c', '|u1')], (2,)), (('title', 'd'), '|u1')]", "(2,)"), counting(10)),
             {"a.b uint8 [2,2] 00020507", "a.c uint8 [2,2] 01030608", "d uint8 [2] 0409"}},
        Good{"field_of_text",
             npy(header("[('n', '<U1'), ('v', '<f4')]", "(1,)"), counting(8)),
             {"n string [1] -", "v float32 [1] 04050607"}}),
    [](const auto& row) { return row.param.name; });

TEST_F(NpyFiles, ArraysOfObjectsAreReadByTheMachineThatCannotCall) {
  // {"w": an ndarray of two float32, "n": 3}, as numpy pickles a 0-d array of objects
  const std::string array =
      "cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\n(I0\ntU\x01"
      "btR(I1\n(I2\ntcnumpy\ndtype\n(U\x02"
      "f4I0\nI1\ntR"
      "(I3\nU\x01<NNNI-1\nI-1\nI0\ntbI00\nU\x08"
      "abcdefghtb";
  const std::string pickle = "}(U\x01w" + array + "U\x01nI3\nu.";
  const auto core = open(npy(header("'|O'", "()"), pickle));
  EXPECT_EQ(rows_of(core), std::vector<std::string>{"w float32 [2] 6162636465666768"});
  ASSERT_EQ(core->objects.size(), 1U);
  EXPECT_EQ(core->objects[0].name, "n");
}

TEST_F(NpyFiles, BytesBehindTheArrayAreSaid) {
  const auto core = open(npy(header("'|u1'", "(2,)"), "abc"));
  ASSERT_EQ(core->warnings.size(), 1U);
  EXPECT_NE(core->warnings[0].find("1 byte follow"), std::string::npos) << core->warnings[0];
}

// ---- what is refused

struct Bad {
  const char* name;
  std::string file;
  std::string what;  ///< a part of the message
};
void PrintTo(const Bad& bad, std::ostream* out) { *out << bad.name; }

class BadArray : public NpyFiles, public testing::WithParamInterface<Bad> {};

TEST_P(BadArray, IsRefusedWithItsPlace) {
  try {
    open(GetParam().file);
    FAIL() << "it was opened";
  } catch (const Error& error) {
    EXPECT_TRUE(error.code == Code::Corrupt || error.code == Code::Limit || error.code == Code::Unsupported);
    EXPECT_EQ(error.where.file, path("f"));
    ASSERT_TRUE(error.where.byte) << error.what();
    EXPECT_LE(*error.where.byte, GetParam().file.size()) << error.what();
    EXPECT_NE(std::string(error.what()).find(GetParam().what), std::string::npos) << error.what();
  }
}

std::string repeated(const std::string& text, int count) {
  std::string out;
  for (int i = 0; i < count; ++i) out += text;
  return out;
}

INSTANTIATE_TEST_SUITE_P(
    Table, BadArray,
    testing::Values(
        Bad{"no_magic", "\x93NUMPX", "no NumPy array"}, Bad{"version", npy("{}", "", 4), "unknown version"},
        Bad{"version_0", npy("{}", "", 0), "unknown version"},
        Bad{"long_header", npy("{}", "", 2).substr(0, 8) + std::string("\xff\xff\xff\x7f", 4), "too long"},
        Bad{"cut_header", npy(header("'<f4'", "(1,)"), "").substr(0, 40), "end within the header"},
        Bad{"too_short", npy(header("'<f4'", "(5,)"), counting(16)), "fewer elements"},
        Bad{"negative", npy(header("'<f4'", "(-4,)"), counting(16)), "negative"},
        Bad{"overflow", npy(header("'<f4'", "(4611686018427387904, 4)"), counting(16)), "64 bits"},
        Bad{"overflow_of_bytes", npy(header("'<f8'", "(4611686018427387904,)"), ""), "fewer elements"},
        Bad{"number_beyond_64_bits", npy(header("'<f4'", "(99999999999999999999,)"), ""), "64 bits"},
        Bad{"call", npy(header("'<f4'", "(__import__('os').getpid(),)"), counting(16)), "no Python literal"},
        Bad{"sum", npy(header("'<f4'", "(1+1,)"), counting(16)), "no Python literal"},
        Bad{"two_values", npy(header("'<f4'", "()") + "{}", counting(16)), "no Python literal"},
        Bad{"open_text", npy("{'descr: 4}", ""), "closing quote"}, Bad{"empty_text", npy("", ""), "no Python literal"},
        Bad{"no_shape", npy("{'descr': '<f4', 'fortran_order': False}", counting(4)), "other members"},
        Bad{"extra_key", npy("{'descr': '<f4', 'fortran_order': False, 'shape': (), 'x': 1}", counting(4)),
            "other members"},
        Bad{"twice", npy("{'descr': '<f4', 'descr': '<f8', 'fortran_order': False, 'shape': ()}", counting(8)),
            "stands twice"},
        Bad{"order_no_bool", npy(header("'<f4'", "()", "1"), counting(4)), "fortran_order"},
        Bad{"shape_no_tuple", npy(header("'<f4'", "4"), counting(16)), "no tuple"},
        Bad{"extent_no_number", npy(header("'<f4'", "('a',)"), counting(16)), "no integer"},
        Bad{"unknown_type", npy(header("'<q9'", "()"), counting(16)), "not known"},
        Bad{"width_no_number", npy(header("'|V2x'", "()"), counting(16)), "no number"},
        Bad{"huge_width", npy(header("'|V9223372036854775807'", "(2,)"), counting(16)), "elements than"},
        Bad{"no_field", npy(header("[]", "()"), ""), "no field"},
        Bad{"same_fields", npy(header("[('a', '|u1'), ('a', '|u1')]", "()"), "ab"), "one name"},
        Bad{"field_of_three_dots", npy(header("[('a',)]", "()"), "ab"), "malformed"},
        Bad{"negative_field", npy(header("[('a', '|u1', (-1,))]", "()"), "ab"), "negative"},
        Bad{"huge_field", npy(header("[('a', '<f8', (4611686018427387904, 4))]", "()"), "ab"), "2^64"},
        Bad{"deep", npy(header(repeated("[('a', ", 30) + "'|u1'" + repeated(")]", 30), "()"), "ab"),
            "nests too deeply"},
        Bad{"many_axes", npy(header("'|u1'", "(" + repeated("1,", 70) + ")"), "a"), "too many axes"},
        Bad{"many_axes_of_a_field", npy(header("[('a', '|u1', (" + repeated("1,", 70) + "))]", "()"), "a"),
            "too many axes"},
        Bad{"long_name", npy(header("[('" + std::string(2000, 'a') + "', '|u1')]", "()"), "a"), "too long"},
        Bad{"latin1_in_version_3", npy(header("[('\xe9', '|u1')]", "()"), "a", 3), "not UTF-8"},
        Bad{"objects_without_a_pickle", npy(header("'|O'", "(1,)"), ""), "without STOP"},
        Bad{"objects_with_a_bad_opcode", npy(header("'|O'", "(1,)"), "\xff"), "opcode"},
        Bad{"storage_of_torch", npy(header("'|O'", "(1,)"), "(S'storage'\nctorch\nFloatStorage\nS'0'\nS'cpu'\nI1\ntQ."),
            "storage of PyTorch"}),
    [](const auto& row) { return row.param.name; });

TEST_F(NpyFiles, EveryTruncationIsAnErrorOrAnAnswer) {
  const std::string whole = npy(header("[('x', '<i2'), ('y', '<i4', (2,))]", "(2,)"), counting(20));
  for (std::size_t bytes = 0; bytes < whole.size(); ++bytes) EXPECT_THROW(open(whole.substr(0, bytes)), Error) << bytes;
}

TEST_F(NpyFiles, AChangedByteIsNeverMoreThanAnErrorOrAnAnswer) {
  std::string content = npy(header("[('x', '<i2'), ('y', '<i4', (2,))]", "(2,)"), counting(20));
  for (std::size_t at = 0; at < content.size(); ++at)
    for (const int flip : {1, 2, 4, 8, 16, 32, 64, 128, 255}) {
      const char before = content[at];
      content[at] = static_cast<char>(before ^ flip);
      try {
        (void)rows_of(open(content));
      } catch (const Error&) {
      }
      content[at] = before;
    }
}

TEST(NpyHeaders, AreReadBackAsTheyWereWritten) {
  for (const DType dtype : {DType::Float32, DType::Bool, DType::UInt64, DType::Complex128})
    for (const Shape& shape : {Shape{}, Shape{3}, Shape{0, 2}, Shape(40, 1)}) {
      const std::string bytes = npy_header(dtype, shape);
      EXPECT_EQ(bytes.size() % 64, 0U);
      const NpyHeader back = read_npy_header(base::as_bytes(bytes), {"f", {}}, {});
      EXPECT_EQ(back.shape, shape);
      ASSERT_EQ(back.fields.size(), 1U);
      EXPECT_EQ(back.fields[0].dtype, dtype);
      EXPECT_EQ(back.data_begin, bytes.size());
    }
}

}  // namespace
}  // namespace tenon::formats
