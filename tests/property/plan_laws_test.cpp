// Laws of plans, on random checkpoints and random exact operations that fit them:
//   apply(invert(p), apply(p, c)) == c, bit for bit; rehearsed shapes and dtypes are the applied ones;
//   plan -> JSON -> plan is the same plan.
#include <gtest/gtest.h>

#include <map>
#include <random>

#include <tenon/error.hpp>
#include <tenon/plan.hpp>

#include "support/listings.hpp"

namespace tenon {
namespace {

using Bytes = std::vector<std::byte>;

Bytes bytes_of(const Tensor& tensor) {
  Bytes bytes(byte_size(tensor.shape, tensor.dtype));
  copy_dense(tensor, bytes);
  return bytes;
}

struct Raw {
  std::string name;
  DType dtype;
  Shape shape;
  Bytes bytes;
};

/// A checkpoint in memory of these very bytes.
Checkpoint checkpoint_of(std::vector<Raw> rows) {
  auto core = std::make_shared<formats::CheckpointCore>();
  core->file = "memory.pth";
  core->containers.push_back({"", ContainerKind::Mapping, "dict", 0, "", false, rows.size()});
  for (Raw& row : rows) {
    TensorInfo info;
    info.name = row.name;
    info.dtype = row.dtype;
    info.shape = row.shape;
    info.stride = dense_stride(row.shape);
    info.storage = static_cast<std::uint32_t>(core->storages.size());
    core->storages.push_back({std::to_string(core->storages.size()), "", row.bytes.size(), "cpu"});
    formats::StorageBytes owned;
    owned.own(row.bytes);
    core->storage_bytes.push_back(std::move(owned));
    core->tensors.push_back(std::move(info));
  }
  return Checkpoint(core);
}

using Contents = std::map<std::string, std::tuple<DType, Shape, Bytes>>;
Contents contents_of(const Checkpoint& checkpoint) {
  Contents contents;
  for (std::size_t i = 0; i < checkpoint.tensors().size(); ++i) {
    const TensorInfo& info = checkpoint.tensors()[i];
    contents[info.name] = {info.dtype, info.shape, bytes_of(checkpoint.tensor(i))};
  }
  return contents;
}

Checkpoint checkpoint_of(const Snapshot& snapshot) {
  std::vector<Raw> rows;
  for (const SnapshotTensor& tensor : snapshot.tensors)
    rows.push_back({tensor.name, tensor.dtype, tensor.shape, bytes_of(tensor.load())});
  return checkpoint_of(std::move(rows));
}

/// Names and shapes alone: a target that wants exactly these tensors.
Listing wanted(const std::vector<Planned>& tensors) {
  Listing listing;
  for (const Planned& planned : tensors) listing.tensors.push_back(planned.spec);
  return listing;
}

class Dice {
 public:
  explicit Dice(unsigned seed) : engine_(seed) {}
  std::size_t below(std::size_t end) { return std::uniform_int_distribution<std::size_t>(0, end - 1)(engine_); }
  std::int64_t extent(std::int64_t least, std::int64_t most) {
    return std::uniform_int_distribution<std::int64_t>(least, most)(engine_);
  }
  template <class List>
  const auto& of(const List& list) {
    return list[below(list.size())];
  }
  template <class List>
  void shuffle(List& list) {
    std::shuffle(list.begin(), list.end(), engine_);
  }

 private:
  std::mt19937 engine_;
};

Checkpoint random_checkpoint(Dice& dice) {
  const std::vector<DType> dtypes = {DType::Float64,      DType::Float32,    DType::Float16, DType::BFloat16,
                                     DType::Float8E4M3FN, DType::Float8E5M2, DType::Int64,   DType::Bool,
                                     DType::Complex64,    DType::QInt8};
  std::vector<Raw> rows;
  for (std::size_t block = 0; block < 3; ++block)
    for (const char* leaf : {"q.weight", "k.weight", "v.weight", "proj.weight", "proj.bias"}) {
      Raw row{"net.h." + std::to_string(block) + "." + leaf, dice.of(dtypes), {}, {}};
      const bool is_bias = row.name.ends_with("bias");
      row.shape = is_bias ? Shape{dice.extent(0, 5)} : Shape{2 * dice.extent(1, 3), dice.extent(1, 4)};
      row.bytes.resize(byte_size(row.shape, row.dtype));
      for (std::byte& byte : row.bytes) byte = static_cast<std::byte>(dice.below(256));
      rows.push_back(std::move(row));
    }
  return checkpoint_of(std::move(rows));
}

/// An operation that fits one of the tensors, most of the time.
Operation random_operation(Dice& dice, const std::vector<Planned>& tensors, std::size_t number) {
  const TensorSpec& spec = dice.of(tensors).spec;
  const Shape& shape = *spec.shape;
  std::vector<std::int64_t> dims(shape.size());
  for (std::size_t i = 0; i < dims.size(); ++i) dims[i] = static_cast<std::int64_t>(i);
  dice.shuffle(dims);
  const auto axis = static_cast<std::int64_t>(dice.below(shape.size()));
  const std::string fresh = "t" + std::to_string(number);
  switch (dice.below(12)) {
    case 0: return Transpose{spec.name, dims};
    case 1: return Reshape{spec.name, {-1, 1}};
    case 2: return Reshape{spec.name, {1, 0, -1}};
    case 3: return Reorder{spec.name, axis, {2, -1}, {1, 0}};
    case 4: return Split{spec.name, {fresh + ".a", fresh + ".b"}, axis, {}, dice.extent(1, 2)};
    case 5: {
      const std::int64_t extent = shape[static_cast<std::size_t>(axis)], first = dice.extent(0, extent);
      return Split{spec.name, {fresh + ".a", fresh + ".b"}, axis, {first, extent - first}};
    }
    case 6: return Fuse{{spec.name, dice.of(tensors).spec.name}, fresh, axis, dice.extent(1, 2)};
    case 7: return Tie{spec.name, fresh};
    case 8: return Rename{spec.name, fresh};
    case 9: return Rename{R"(net\.h\.(\d)\.(.*))", "blocks.$1.inner.$2", true};
    case 10: return StripPrefix{"net."};
    default: return AddPrefix{fresh + "."};
  }
}

/// `count` operations, each of which can be carried out on what the ones before it left.
Plan random_plan(Dice& dice, const Listing& checkpoint, std::size_t count) {
  Plan plan;
  for (std::size_t tries = 0; plan.ops.size() < count && tries < 50 * count; ++tries) {
    Plan longer = plan;
    longer.ops.push_back({random_operation(dice, rehearse(plan, checkpoint).tensors, tries)});
    try {
      static_cast<void>(rehearse(longer, checkpoint));
      plan = std::move(longer);
    } catch (const Error&) {  // it does not fit: another one
    }
  }
  return plan;
}

class PlanLaws : public testing::TestWithParam<unsigned> {};

TEST_P(PlanLaws, HoldBitForBit) {
  Dice dice(GetParam());
  const Checkpoint start = random_checkpoint(dice);
  const Listing checkpoint = list(start);
  const Plan plan = random_plan(dice, checkpoint, 8);
  SCOPED_TRACE("seed " + std::to_string(GetParam()) + ", plan " + to_json(plan));
  ASSERT_GE(plan.ops.size(), 4U);
  EXPECT_EQ(to_json(parse_plan(to_json(plan))), to_json(plan));

  const Rehearsal rehearsal = rehearse(plan, checkpoint);
  const ApplyResult applied = apply(plan, checkpoint, wanted(rehearsal.tensors));
  ASSERT_EQ(applied.snapshot.tensors.size(), rehearsal.tensors.size());
  EXPECT_TRUE(applied.unfilled.empty());
  for (std::size_t i = 0; i < rehearsal.tensors.size(); ++i) {
    const Tensor loaded = applied.snapshot.tensors[i].load();
    EXPECT_EQ(loaded.shape, rehearsal.tensors[i].spec.shape);
    EXPECT_EQ(loaded.dtype, rehearsal.tensors[i].spec.dtype);
  }

  const Listing fitted = list(checkpoint_of(applied.snapshot));
  Plan back;
  try {
    back = invert(plan, checkpoint);
  } catch (const Error& error) {  // shapes such as [0, 0] are all that cannot be told
    EXPECT_NE(error.found.find("empty tensor"), std::string::npos) << error.what();
    return;
  }
  const ApplyResult again = apply(back, fitted, wanted(rehearse({}, checkpoint).tensors));
  EXPECT_EQ(contents_of(checkpoint_of(again.snapshot)), contents_of(start)) << to_json(back);
}

INSTANTIATE_TEST_SUITE_P(Seeds, PlanLaws, testing::Range(1U, 201U));

}  // namespace
}  // namespace tenon
