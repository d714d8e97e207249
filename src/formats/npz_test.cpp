#include <gtest/gtest.h>
#include <zlib.h>

#include <cstring>
#include <string>
#include <utility>
#include <vector>

#include <tenon/save.hpp>

#include "base/cursor.hpp"
#include "base/digest.hpp"
#include "formats/npy_header.hpp"
#include "support/folder.hpp"

namespace tenon {
namespace {

std::string array(const std::string& descr, const std::string& shape, const std::string& data) {
  std::string dict = "{'descr': " + descr + ", 'fortran_order': False, 'shape': " + shape + ", }\n";
  std::string file(formats::kNpyMagic);
  file += std::string("\1\0", 2);
  file += static_cast<char>(dict.size());
  file += '\0';
  return file + dict + data;
}

void put_number(std::string& out, std::uint64_t number, int width) {
  for (int i = 0; i < width; ++i) out += static_cast<char>(static_cast<unsigned char>(number >> (8 * i)));
}

std::string deflated(const std::string& content) {
  std::string out(compressBound(content.size()), '\0');
  z_stream z{};
  EXPECT_EQ(deflateInit2(&z, 9, Z_DEFLATED, -MAX_WBITS, 9, Z_DEFAULT_STRATEGY), Z_OK);
  z.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(content.data()));
  z.avail_in = static_cast<uInt>(content.size());
  z.next_out = reinterpret_cast<Bytef*>(out.data());
  z.avail_out = static_cast<uInt>(out.size());
  EXPECT_EQ(deflate(&z, Z_FINISH), Z_STREAM_END);
  out.resize(out.size() - z.avail_out);
  deflateEnd(&z);
  return out;
}

enum class Form { Stored, Deflated, Zip64 };

/// A zip archive of these entries, in the least that the format asks for.
std::string archive(const std::vector<std::pair<std::string, std::string>>& entries, Form form = Form::Stored) {
  std::string out, directory;
  for (const auto& entry : entries) {  // named, because Clang 14 captures no structured binding
    const std::string &name = entry.first, &content = entry.second;
    const std::string packed = form == Form::Deflated ? deflated(content) : content;
    const std::uint32_t crc = base::crc32(base::as_bytes(content));
    const bool is_64 = form == Form::Zip64;
    std::string extra;
    if (is_64) {
      put_number(extra, 1, 2);
      put_number(extra, 16, 2);
      put_number(extra, content.size(), 8);
      put_number(extra, packed.size(), 8);
    }
    const auto fields = [&](std::string& to) {
      put_number(to, is_64 ? 45 : 20, 2);
      put_number(to, 0, 2);
      put_number(to, form == Form::Deflated ? 8 : 0, 2);
      put_number(to, 0, 4);
      put_number(to, crc, 4);
      put_number(to, is_64 ? 0xFFFFFFFF : packed.size(), 4);
      put_number(to, is_64 ? 0xFFFFFFFF : content.size(), 4);
      put_number(to, name.size(), 2);
      put_number(to, extra.size(), 2);
    };
    directory += std::string("PK\1\2\24\0", 6);
    fields(directory);
    directory.append(10, '\0');
    put_number(directory, out.size(), 4);
    directory += name + extra;
    out += std::string("PK\3\4", 4);
    fields(out);
    out += name + extra + packed;
  }
  const std::uint64_t begin = out.size();
  out += directory + std::string("PK\5\6\0\0\0\0", 8);
  put_number(out, entries.size(), 2);
  put_number(out, entries.size(), 2);
  put_number(out, directory.size(), 4);
  put_number(out, begin, 4);
  put_number(out, 0, 2);
  return out;
}

std::string text_of(const Tensor& tensor) {
  std::string out;
  for_each_block(tensor, [&](std::span<const std::byte> piece) { out += base::as_text(piece); });
  return out;
}

class Npz : public test::TemporaryFolder {
 public:
  Checkpoint read(const std::string& bytes, const OpenOptions& options = {}) const {
    test::put(path("f.npz"), bytes);
    return open(path("f.npz"), options);
  }
};

struct EveryArchive : Npz, testing::WithParamInterface<Form> {};

TEST_P(EveryArchive, IsRead) {
  const Checkpoint checkpoint = read(archive(
      {{"a/b.npy", array("'<f4'", "(2,)", "abcdefgh")}, {"layer.weight.npy", array("'|u1'", "()", "x")}}, GetParam()));
  EXPECT_EQ(checkpoint.format(), Format::Npz);
  ASSERT_EQ(checkpoint.tensors().size(), 2U);
  EXPECT_EQ(checkpoint.tensors()[0].name, "a/b");
  EXPECT_EQ(text_of(checkpoint.tensor(0)), "abcdefgh");
  EXPECT_EQ(text_of(checkpoint.tensor("layer.weight")), "x");
}

INSTANTIATE_TEST_SUITE_P(Table, EveryArchive, testing::Values(Form::Stored, Form::Deflated, Form::Zip64));

TEST_F(Npz, ObjectsStandUnderTheNameOfTheirEntry) {
  const std::string pickle = "(S'n'\nI3\nd.";
  const Checkpoint checkpoint =
      read(archive({{"a.npy", array("'|O'", "()", pickle)}, {"w.npy", array("'|u1'", "()", "x")}}));
  ASSERT_EQ(checkpoint.objects().size(), 1U);
  EXPECT_EQ(checkpoint.objects()[0].name, "a");
  EXPECT_EQ(checkpoint.tensors().size(), 1U);
}

TEST_F(Npz, FieldsStandBelowTheNameOfTheirEntry) {
  const Checkpoint checkpoint = read(archive({{"r.npy", array("[('x', '|u1'), ('y', '|u1')]", "(2,)", "abcd")}}));
  EXPECT_EQ(text_of(checkpoint.tensor("r.x")), "ac");
  EXPECT_EQ(text_of(checkpoint.tensor("r.y")), "bd");
}

TEST_F(Npz, LongHeadersOfDeflatedEntriesAreUnpackedAsFarAsTheyGo) {
  std::string fields;
  for (int i = 0; i < 3000; ++i) fields += "('field_" + std::to_string(i) + "', '|u1'), ";
  std::string dict = "{'descr': [" + fields + "], 'fortran_order': False, 'shape': ()}";
  std::string file(formats::kNpyMagic);
  file += std::string("\2\0", 2);
  put_number(file, dict.size(), 4);
  const Checkpoint checkpoint = read(archive({{"r.npy", file + dict + std::string(3000, 'q')}}, Form::Deflated));
  EXPECT_EQ(checkpoint.tensors().size(), 3000U);
  EXPECT_EQ(text_of(checkpoint.tensor(2999)), "q");
}

TEST_F(Npz, WrongChecksumsAreFoundWhenTheBytesAreTouched) {
  std::string bytes = archive({{"a.npy", array("'<f4'", "(2,)", "abcdefgh")}});
  bytes[bytes.find("abcdefgh")] = 'X';
  const Checkpoint checkpoint = read(bytes);
  EXPECT_THROW((void)checkpoint.tensor(0), Error);
}

TEST_F(Npz, DamagedEntriesAreRefusedWithTheirNameAndSalvagedAroundThem) {
  const std::string bytes = archive({{"bad.npy", "no array"}, {"w.npy", array("'|u1'", "()", "x")}});
  try {
    (void)read(bytes);
    FAIL() << "it was opened";
  } catch (const Error& error) {
    EXPECT_EQ(error.where.member, "bad.npy");
  }
  EXPECT_EQ(read(bytes, {.salvage = Salvage::Yes}).tensors().size(), 1U);
}

TEST_F(Npz, EveryTruncationIsAnError) {
  const std::string whole = archive({{"a.npy", array("'<f4'", "(2,)", "abcdefgh")}}, Form::Deflated);
  for (std::size_t bytes = 0; bytes < whole.size(); ++bytes)
    EXPECT_THROW((void)read(whole.substr(0, bytes)), Error) << bytes;
}

TEST_F(Npz, AChangedByteIsNeverMoreThanAnErrorOrAnAnswer) {
  std::string content = archive({{"a.npy", array("'<f4'", "(2,)", "abcdefgh")}}, Form::Deflated);
  for (std::size_t at = 0; at < content.size(); ++at)
    for (const int flip : {1, 2, 4, 8, 16, 32, 64, 128, 255}) {
      const char before = content[at];
      content[at] = static_cast<char>(before ^ flip);
      try {
        const Checkpoint checkpoint = read(content);
        for (std::size_t i = 0; i < checkpoint.tensors().size(); ++i)
          if (checkpoint.tensors()[i].storage != kNoStorage) (void)text_of(checkpoint.tensor(i));
      } catch (const Error&) {
      }
      content[at] = before;
    }
}

// ---- writing

Tensor counting(DType dtype, const Shape& shape) {
  std::vector<std::byte> bytes(byte_size(shape, dtype));
  for (std::size_t i = 0; i < bytes.size(); ++i) bytes[i] = static_cast<std::byte>(i % 2);
  return make_tensor(dtype, shape, std::move(bytes));
}

const SaveOptions kAsNpz{.format = Format::Npz};

TEST_F(Npz, WhatIsWrittenIsReadBackAndAligned) {
  Snapshot snapshot;
  const std::pair<DType, Shape> kinds[] = {{DType::Float32, {2, 3}},
                                           {DType::Bool, {5}},
                                           {DType::UInt64, {}},
                                           {DType::Complex128, {1, 1}},
                                           {DType::Int8, {0, 3}}};
  for (const auto& [dtype, shape] : kinds)
    add_tensor(snapshot, "layer." + std::string(dtype_name(dtype)), counting(dtype, shape));
  snapshot.tensors[0].name = "/as/in/ONNX:0";
  save(snapshot, path("o.npz"), kAsNpz);
  save(snapshot, path("same.npz"), kAsNpz);
  EXPECT_EQ(test::get(path("o.npz")), test::get(path("same.npz")));
  const Checkpoint back = open(path("o.npz"));
  ASSERT_EQ(back.tensors().size(), std::size(kinds));
  EXPECT_EQ(back.tensors()[0].name, "/as/in/ONNX:0");
  for (std::size_t i = 0; i < std::size(kinds); ++i) {
    EXPECT_EQ(back.tensors()[i].shape, kinds[i].second);
    EXPECT_EQ(back.tensors()[i].dtype, kinds[i].first);
    EXPECT_EQ(text_of(back.tensor(i)), text_of(counting(kinds[i].first, kinds[i].second)));
  }
  const std::string bytes = test::get(path("o.npz"));
  EXPECT_EQ(bytes.find("\x93NUMPY") % 64, 0U);
  EXPECT_EQ(bytes.find("\x93NUMPY", bytes.find("\x93NUMPY") + 1) % 64, 0U);
}

struct Refused {
  const char* name;
  const char* tensor;
  DType dtype;
  const char* what;
};
void PrintTo(const Refused& refused, std::ostream* out) { *out << refused.name; }

struct CannotBeHeld : Npz, testing::WithParamInterface<Refused> {};

TEST_P(CannotBeHeld, IsRefusedBeforeAFileExists) {
  Snapshot snapshot;
  add_tensor(snapshot, "fine", counting(DType::Float32, {1}));
  add_tensor(snapshot, GetParam().tensor, counting(GetParam().dtype, {2}));
  try {
    save(snapshot, path("o.npz"), kAsNpz);
    FAIL() << "it was written";
  } catch (const Error& error) {
    EXPECT_EQ(error.code, Code::Refused);
    EXPECT_NE(std::string(error.what()).find(GetParam().what), std::string::npos) << error.what();
  }
  EXPECT_FALSE(std::filesystem::exists(path("o.npz")));
}

INSTANTIATE_TEST_SUITE_P(Table, CannotBeHeld,
                         testing::Values(Refused{"bfloat16", "w", DType::BFloat16, "w (bfloat16)"},
                                         Refused{"float8", "w", DType::Float8E5M2, "w (float8_e5m2)"},
                                         Refused{"quantised", "w", DType::QInt8, "w (qint8)"},
                                         Refused{"outside", "../w", DType::Float32, "names"},
                                         Refused{"outside_below", "a/../../w", DType::Float32, "names"},
                                         Refused{"drive", "C:/w", DType::Float32, "names"},
                                         Refused{"backslash", "a\\w", DType::Float32, "names"},
                                         Refused{"no_text", "\xff", DType::Float32, "names"},
                                         Refused{"twice", "fine", DType::Float32, "one name"}),
                         [](const auto& row) { return row.param.name; });

TEST_F(Npz, ABareArrayKeepsItsNameWhichIsNone) {
  test::put(path("a.npy"), array("'<i2'", "(2,)", "abcd"));
  save(snapshot(open(path("a.npy"))), path("o.npz"), kAsNpz);
  EXPECT_EQ(text_of(open(path("o.npz")).tensor("")), "abcd");
}

TEST_F(Npz, TextIsRefusedOrDropped) {
  const Checkpoint checkpoint =
      read(archive({{"names.npy", array("'<U1'", "(1,)", "abcd")}, {"w.npy", array("'|u1'", "()", "x")}}));
  for (const Format format : {Format::Npz, Format::Safetensors, Format::PytorchZip}) {
    SaveOptions options{.format = format};
    EXPECT_THROW(save(snapshot(checkpoint), path("o"), options), Error);
    options.objects = Objects::Drop;
    options.existing = Existing::Replace;
    const SaveReport report = save(snapshot(checkpoint), path("o"), options);
    EXPECT_FALSE(report.notes.empty());
    EXPECT_EQ(open(path("o")).tensors().size(), 1U);
  }
}

TEST_F(Npz, ObjectsAreRefusedOrDropped) {
  Snapshot snapshot;
  add_tensor(snapshot, "w", counting(DType::Float32, {1}));
  Object epoch;
  epoch.name = "epoch";
  epoch.value.is = std::int64_t{12};
  snapshot.objects.push_back(epoch);
  EXPECT_THROW(save(snapshot, path("o.npz"), kAsNpz), Error);
  const SaveReport report = save(snapshot, path("o.npz"), {.format = Format::Npz, .objects = Objects::Drop});
  ASSERT_EQ(report.notes.size(), 1U);
  EXPECT_NE(report.notes[0].find("epoch (int)"), std::string::npos) << report.notes[0];
}

}  // namespace
}  // namespace tenon
