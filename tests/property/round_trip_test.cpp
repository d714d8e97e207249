// load(save(s)) == s, for random snapshots and both formats; the same snapshot saved twice gives the same bytes.
//
// The generator is our own: a seed makes one snapshot. A failure prints its seed; TENON_SEED=<n> runs that one alone.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <map>
#include <random>
#include <string>
#include <vector>

#include <tenon/checkpoint.hpp>
#include <tenon/save.hpp>
#include <tenon/snapshot.hpp>

#include "support/folder.hpp"

namespace tenon {
namespace {

constexpr DType kBoth[] = {DType::Float64,        DType::Float32,        DType::Float16,      DType::BFloat16,
                           DType::Int64,          DType::Int32,          DType::Int16,        DType::Int8,
                           DType::UInt8,          DType::Bool,           DType::UInt64,       DType::UInt32,
                           DType::UInt16,         DType::Complex64,      DType::Float8E5M2,   DType::Float8E4M3FN,
                           DType::Float8E4M3FNUZ, DType::Float8E5M2FNUZ, DType::Float8E8M0FNU};
constexpr DType kZipOnly[] = {DType::Complex128, DType::Complex32, DType::Bits8, DType::Bits16, DType::Float4E2M1FNx2};
constexpr const char* kWords[] = {"layer",       "0",          "1",           "weight",    "bias",
                                  "caf\xc3\xa9", "\"quoted\"", "back\\slash", "new\nline", ""};

class Generator {
 public:
  Generator(std::uint64_t seed, Format format) : random_(seed), format_(format) {}

  Snapshot snapshot() {
    snapshot_.containers.push_back({.path = {}, .type = "dict", .parent = 0, .key = {}});
    if (format_ == Format::PytorchZip)
      for (std::uint64_t i = below(4); i > 0; --i) add_container();
    add_some(one_value(), "anchor");  // so that something has elements
    for (std::uint64_t i = below(12); i > 0; --i) add_some(tensor(), {});
    if (below(2) == 0) add_sharing();
    return std::move(snapshot_);
  }

 private:
  std::uint64_t below(std::uint64_t end) { return std::uniform_int_distribution<std::uint64_t>(0, end - 1)(random_); }

  DType dtype() {
    if (format_ == Format::PytorchZip && below(5) == 0) return kZipOnly[below(std::size(kZipOnly))];
    return kBoth[below(std::size(kBoth))];
  }

  std::vector<std::byte> bytes(std::uint64_t count) {
    std::vector<std::byte> out(count);
    for (std::byte& b : out) b = static_cast<std::byte>(below(256));
    return out;
  }

  Tensor one_value() { return make_tensor(DType::Float32, {}, bytes(4)); }

  /// Dense, transposed, broadcast or a view with an offset; any shape down to none.
  Tensor tensor() {
    Shape shape(below(5));
    for (std::int64_t& extent : shape) extent = static_cast<std::int64_t>(below(5));
    const DType type = dtype();
    const std::uint64_t nbytes = byte_size(shape, type);
    Tensor whole = make_tensor(type, shape, bytes(nbytes));
    switch (below(4)) {
      case 0:
        std::reverse(whole.shape.begin(), whole.shape.end());
        std::reverse(whole.stride.begin(), whole.stride.end());
        break;
      case 1:
        if (!whole.shape.empty() && whole.shape[0] > 0) {
          whole.offset_bytes += static_cast<std::uint64_t>(whole.stride[0] * dtype_bytes(type));
          --whole.shape[0];
        }
        break;
      case 2:
        for (std::int64_t& stride : whole.stride) stride = below(2) == 0 ? 0 : stride;
        break;
      default: break;
    }
    return whole;
  }

  /// Three names of one storage: equal, transposed, shifted.
  void add_sharing() {
    const Tensor base = make_tensor(DType::Float32, {3, 4}, bytes(48));
    Tensor transposed = base, row = base;
    transposed.shape = {4, 3};
    transposed.stride = {1, 4};
    row.shape = {4};
    row.stride = {1};
    row.offset_bytes = 16;
    for (const Tensor& tensor : {base, transposed, row}) {
      add_some(tensor, {});
      snapshot_.tensors.back().storage = 42;
    }
  }

  std::string fresh_key(std::uint32_t container) {
    std::string key = kWords[below(std::size(kWords))];
    return key + "_" + std::to_string(container) + "_" + std::to_string(next_++);
  }

  std::string name_in(std::uint32_t container, const std::string& key) const {
    const std::string& path = snapshot_.containers[container].path;
    return path.empty() ? key : path + "." + key;
  }

  void add_container() {
    const auto parent = static_cast<std::uint32_t>(below(snapshot_.containers.size()));
    const bool positions = snapshot_.containers[parent].kind == ContainerKind::Sequence;
    const std::string key = positions ? std::to_string(places_[parent]++) : fresh_key(parent);
    const std::uint64_t kind = below(3);
    const auto index = static_cast<std::uint32_t>(snapshot_.containers.size());
    snapshot_.containers.push_back({.path = name_in(parent, key),
                                    .kind = kind == 0 ? ContainerKind::Mapping : ContainerKind::Sequence,
                                    .type = kind == 0   ? "dict"
                                            : kind == 1 ? "list"
                                                        : "tuple",
                                    .parent = parent,
                                    .key = key,
                                    .integer_key = positions});
    place(one_value(), index, {});
  }

  void add_some(const Tensor& tensor, const std::string& key) {
    place(tensor, key.empty() ? static_cast<std::uint32_t>(below(snapshot_.containers.size())) : 0U, key);
  }

  void place(const Tensor& tensor, std::uint32_t container, std::string key) {
    const bool positions = snapshot_.containers[container].kind == ContainerKind::Sequence;
    const bool integer = positions || (format_ == Format::PytorchZip && key.empty() && below(4) == 0);
    if (positions)
      key = std::to_string(places_[container]++);
    else if (integer)
      key = std::to_string(1000 + next_++);
    else if (key.empty())
      key = fresh_key(container);
    SnapshotTensor& added = snapshot_.tensors.emplace_back();
    added.name = name_in(container, key);
    added.key_begin = static_cast<std::uint32_t>(added.name.size() - key.size());
    added.container = container;
    added.integer_key = integer;
    added.dtype = tensor.dtype;
    added.shape = tensor.shape;
    added.load = [tensor] { return tensor; };
  }

  std::mt19937_64 random_;
  Format format_;
  Snapshot snapshot_;
  std::map<std::uint32_t, std::uint64_t> places_;  ///< next position in each sequence
  std::uint64_t next_ = 0;
};

std::vector<std::byte> dense(const Tensor& tensor) {
  std::vector<std::byte> out(byte_size(tensor.shape, tensor.dtype));
  copy_dense(tensor, out);
  return out;
}

class RoundTrip : public test::TemporaryFolder, public testing::WithParamInterface<Format> {
 protected:
  void expect_same(const Snapshot& snapshot, const Checkpoint& read) {
    ASSERT_EQ(read.format(), GetParam());
    ASSERT_EQ(read.tensors().size(), snapshot.tensors.size());
    for (const SnapshotTensor& wanted : snapshot.tensors) {
      const auto index = read.find(wanted.name);
      ASSERT_TRUE(index) << wanted.name;
      const TensorInfo& found = read.tensors()[*index];
      EXPECT_EQ(found.dtype, wanted.dtype) << wanted.name;
      EXPECT_EQ(found.shape, wanted.shape) << wanted.name;
      EXPECT_EQ(dense(read.tensor(*index)), dense(wanted.load())) << wanted.name;
      if (GetParam() == Format::PytorchZip) {
        EXPECT_EQ(found.integer_key, wanted.integer_key) << wanted.name;
        EXPECT_EQ(read.containers()[found.container].type, snapshot.containers[wanted.container].type) << wanted.name;
      }
    }
  }

  /// Names that shared a storage still do, where the format can.
  static std::size_t storages_used(const Checkpoint& read, const Snapshot& snapshot) {
    std::vector<std::uint32_t> used;
    for (const SnapshotTensor& tensor : snapshot.tensors)
      if (tensor.storage) used.push_back(read.tensors()[*read.find(tensor.name)].storage);
    std::sort(used.begin(), used.end());
    return static_cast<std::size_t>(std::unique(used.begin(), used.end()) - used.begin());
  }

  void run(std::uint64_t seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    const Snapshot snapshot = Generator(seed, GetParam()).snapshot();
    const SaveOptions options{
        .format = GetParam(), .existing = Existing::Replace, .durability = Durability::None, .objects = Objects::Keep};
    save(snapshot, path("once"), options);
    const std::string once = test::get(path("once"));
    save(snapshot, path("once"), options);
    ASSERT_TRUE(test::get(path("once")) == once) << "two saves differ";
    const Checkpoint read = open(path("once"));
    expect_same(snapshot, read);
    if (GetParam() == Format::PytorchZip) {
      EXPECT_LE(storages_used(read, snapshot), 1U);
    }
    // Records are numbered in the order of the tensors, which reading makes that of the tree: from then on nothing
    // moves.
    save(tenon::snapshot(read), path("again/once"), options);
    const Checkpoint second = open(path("again/once"));
    expect_same(snapshot, second);
    save(tenon::snapshot(second), path("third/once"), options);
    EXPECT_TRUE(test::get(path("third/once")) == test::get(path("again/once")))
        << "what was read is saved as other bytes";
  }
};

TEST_P(RoundTrip, KeepsNamesTypesShapesAndBits) {
  for (const char* folder : {"again", "third"}) std::filesystem::create_directory(path(folder));
  if (const char* seed = std::getenv("TENON_SEED")) return run(std::strtoull(seed, nullptr, 10));
  for (std::uint64_t seed = 0; seed < 300 && !HasFatalFailure(); ++seed) run(seed);
}

INSTANTIATE_TEST_SUITE_P(Formats, RoundTrip, testing::Values(Format::Safetensors, Format::PytorchZip),
                         [](const auto& row) { return row.param == Format::Safetensors ? "safetensors" : "zip"; });

}  // namespace
}  // namespace tenon
