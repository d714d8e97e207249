// A distributed checkpoint assembled by hand: pieces of a tensor in two files, and what is refused.
#include <tenon/checkpoint.hpp>

#include <gtest/gtest.h>

#include <array>
#include <filesystem>
#include <string>
#include <vector>

#include "base/cursor.hpp"
#include "container/zip_writer.hpp"
#include "support/folder.hpp"
#include "support/pickles.hpp"

namespace tenon {
namespace {

using namespace test::pickles;

constexpr std::string_view kMetadataModule = "torch.distributed.checkpoint.metadata";

std::string size_of(const Shape& shape) {
  std::string items;
  for (const std::int64_t extent : shape) items += number(static_cast<int>(extent));
  return call("torch", "Size", "(" + items + "t");
}

/// A blob: a dense float32 tensor of that shape as torch.save writes it.
std::string blob(const Shape& shape, const std::vector<float>& values) {
  std::string extents, steps;
  for (const std::int64_t extent : shape) extents += number(static_cast<int>(extent));
  for (const std::int64_t step : dense_stride(shape)) steps += number(static_cast<int>(step));
  const int count = static_cast<int>(values.size());
  container::ZipWriter zip;
  zip.add("archive/data.pkl", "\x80\2" +
                                  call("torch._utils", "_rebuild_tensor_v2", storage("0", count), number(0),
                                       "(" + extents + "t", "(" + steps + "t", kFalse, kOrdered) +
                                  ".");
  zip.add("archive/data/0", std::string(reinterpret_cast<const char*>(values.data()), 4 * values.size()));
  std::string bytes;
  zip.write([&](std::span<const std::byte> piece) { bytes += base::as_text(piece); });
  return bytes;
}

struct Piece {
  Shape at, size;
  std::string file;
  std::string bytes;
  int offset = 0;
  int length = -1;  ///< of the blob itself
};

std::string chunk(const Piece& piece) {
  return object(kMetadataModule, "ChunkStorageMetadata",
                dict(text("offsets"), size_of(piece.at), text("sizes"), size_of(piece.size)));
}

std::string place(const Piece& piece) {
  const int length = piece.length < 0 ? static_cast<int>(piece.bytes.size()) : piece.length;
  return object(kMetadataModule, "MetadataIndex",
                dict(text("fqn"), text("w"), text("offset"), size_of(piece.at), text("index"), number(0))) +
         object("torch.distributed.checkpoint.filesystem", "_StorageInfo",
                dict(text("relative_path"), text(piece.file), text("offset"), number(piece.offset), text("length"),
                     number(length)));
}

class Dcp : public test::TemporaryFolder {
 protected:
  /// Writes the files and the metadata of one tensor `w`.
  void write(const Shape& shape, std::vector<Piece> pieces) {
    std::string chunks, places;
    for (Piece& piece : pieces) {
      const std::string before = test::get(path(piece.file));
      piece.offset += static_cast<int>(before.size());
      if (piece.file.find('/') == std::string::npos) test::put(path(piece.file), before + piece.bytes);
      chunks += chunk(piece);
      places += place(piece);
    }
    const std::string properties =
        global(kMetadataModule, "TensorProperties") + ")\x81" + tuple(global("torch", "float32"), kNone) + "b";
    const std::string tensor =
        object(kMetadataModule, "TensorStorageMetadata",
               dict(text("properties"), properties, text("size"), size_of(shape), text("chunks"), "](" + chunks + "e"));
    metadata_ =
        "\x80\2" +
        object(kMetadataModule, "Metadata",
               dict(text("state_dict_metadata"), dict(text("w"), tensor), text("storage_data"), "}(" + places + "u")) +
        ".";
    test::put(path(".metadata"), metadata_);
  }
  std::string refusal() {
    try {
      const Checkpoint checkpoint = tenon::open(folder().string());
      (void)checkpoint.tensor("w");
    } catch (const Error& error) {
      return error.what();
    }
    return "nothing was thrown";
  }
  std::string metadata_;
};

const Piece kTop{{0, 0}, {1, 3}, "__0_0.distcp", blob({1, 3}, {1, 2, 3})};
const Piece kBottom{{1, 0}, {1, 3}, "__1_0.distcp", blob({1, 3}, {4, 5, 6})};
const Piece kLeft{{0, 0}, {2, 1}, "__0_0.distcp", blob({2, 1}, {1, 4})};
const Piece kRight{{0, 1}, {2, 2}, "__0_0.distcp", blob({2, 2}, {2, 3, 5, 6})};

TEST_F(Dcp, PiecesAreOneTensor) {
  for (const auto& pieces : {std::vector<Piece>{kTop, kBottom}, {kBottom, kTop}, {kRight, kLeft}}) {
    for (const auto& entry : std::filesystem::directory_iterator(folder())) std::filesystem::remove(entry);
    write({2, 3}, pieces);
    const Checkpoint checkpoint = tenon::open(folder().string());
    EXPECT_EQ(checkpoint.format(), Format::TorchDcp);
    ASSERT_EQ(checkpoint.tensors().size(), 1U);
    EXPECT_EQ(checkpoint.tensors()[0].shape, (Shape{2, 3}));
    std::array<float, 6> values{};
    const Tensor tensor = checkpoint.tensor("w");
    copy_dense(tensor, std::as_writable_bytes(std::span(values)));
    EXPECT_EQ(values, (std::array<float, 6>{1, 2, 3, 4, 5, 6}));
    EXPECT_NE(tensor.owner, checkpoint.tensor("w").owner);  // nothing is kept for the next one
  }
}

Piece changed(Piece piece, const auto& change) {
  change(piece);
  return piece;
}

TEST_F(Dcp, ContradictionsAreRefused) {
  const std::vector<std::pair<std::vector<Piece>, std::string>> table{
      {{kTop}, "do not make up the tensor"},
      {{kTop, kTop}, "overlap"},
      {{changed(kTop,
                [](Piece& p) {
                  p.at = {0, 1};
                }),
        kBottom},
       "outside its tensor"},
      {{changed(kTop, [](Piece& p) { p.at = {0}; }), kBottom}, "outside its tensor"},
      {{changed(kTop, [](Piece& p) { p.length = 99999; }), kBottom}, "past the end of its file"},
      {{changed(kTop, [](Piece& p) { p.offset = 99999; }), kBottom}, "past the end of its file"},
      {{changed(kTop, [](Piece& p) { p.file = "../x.distcp"; }), kBottom}, "outside its folder"},
      {{changed(kTop, [](Piece& p) { p.length = 40; }), kBottom}, ""},
      {{changed(kTop,
                [](Piece& p) {
                  p.bytes = blob({3, 1}, {1, 2, 3});
                }),
        kBottom},
       "not what the metadata says"},
      {{changed(kTop,
                [](Piece& p) {
                  p.size = {1, -3};
                }),
        kBottom},
       "no size"},
  };
  for (const auto& [pieces, says] : table) {
    for (const auto& entry : std::filesystem::directory_iterator(folder())) std::filesystem::remove(entry);
    write({2, 3}, pieces);
    const std::string found = refusal();
    EXPECT_NE(found, "nothing was thrown") << says;
    EXPECT_NE(found.find(says), std::string::npos) << found;
  }
}

TEST_F(Dcp, AHugeTensorOfSmallPiecesIsRefusedBeforeAnythingIsAllocated) {
  write({2'000'000'000, 3}, {changed(kTop, [](Piece& p) { p.size = {2'000'000'000, 3}; })});
  EXPECT_NE(refusal().find("larger than its pieces"), std::string::npos);
}

TEST_F(Dcp, EveryTruncationOfTheMetadataIsAnError) {
  write({2, 3}, {kTop, kBottom});
  for (std::size_t cut = 0; cut < metadata_.size(); ++cut) {
    test::put(path(".metadata"), metadata_.substr(0, cut));
    EXPECT_THROW(tenon::open(folder().string()), Error) << cut;
  }
}

}  // namespace
}  // namespace tenon
