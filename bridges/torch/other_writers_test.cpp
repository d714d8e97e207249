// What Python's torch and LibTorch itself wrote loads into live modules, and both read what the bridge writes.
#include <gtest/gtest.h>

#include <string>

#include <torch/version.h>

#include <tenon/torch.hpp>
#include <tenon/verify.hpp>

#include "support/folder.hpp"
#include "support/live_modules.hpp"

namespace tenon::torch {
namespace {

namespace nn = ::torch::nn;
using tenon_test::Block;
using tenon_test::held_by;
using tenon_test::same_values;

std::string committed(const std::string& name) { return TENON_SOURCE_DIR "/tests/conformance/data/" + name; }

/// The stored bytes of each tensor stand in the live one of the same name.
void expect_taken(const nn::Module& model, const Checkpoint& file, const std::string& prefix = {}) {
  const auto held = held_by(model);
  ASSERT_FALSE(held.empty());
  for (const tenon_test::Held& row : held) {
    const Tensor stored = file.tensor(prefix + row.name);
    std::vector<std::byte> dense(byte_size(stored.shape, stored.dtype));
    copy_dense(stored, dense);
    EXPECT_EQ(row.values, std::string(reinterpret_cast<const char*>(dense.data()), dense.size())) << row.name;
  }
}

struct Written {
  const char* name;
  const char* file;
  const char* prefix;  ///< before the model's names
  Repair repair;
};

constexpr Written kWritten[] = {
    {"StateDict", "state_dict.pt", "", Repair::No},
    {"StateDictOfOldPyTorch", "state_dict.legacy.pt", "", Repair::No},
    {"TrainingCheckpoint", "checkpoint.pt", "state_dict.", Repair::Exact},
    {"TrainingCheckpointOfOldPyTorch", "checkpoint.legacy.pt", "state_dict.", Repair::Exact},
    {"TorchScript", "script.ts.pt", "", Repair::No},
};

class PythonFile : public testing::TestWithParam<Written> {};

TEST_P(PythonFile, LoadsIntoTheSameModelInCpp) {
  const Written& given = GetParam();
  Block model;
  const LoadReport report = load(*model, committed(given.file), {.repair = given.repair, .accept = {}, .open = {}});
  EXPECT_EQ(report.loaded, 8U);
  EXPECT_TRUE(report.kept.empty());
  EXPECT_EQ(report.plan.ops.empty(), given.repair == Repair::No);
  expect_taken(*model, open(committed(given.file)), given.prefix);
}

INSTANTIATE_TEST_SUITE_P(OtherWriters, PythonFile, testing::ValuesIn(kWritten),
                         [](const auto& row) { return std::string(row.param.name); });

TEST(OtherWriters, AWholePickledModuleIsTakenByName) {
  nn::Sequential model(nn::Linear(3, 2), nn::ReLU(), nn::Linear(2, 1));
  EXPECT_EQ(load(*model, committed("whole_module.pt")).loaded, 4U);
  expect_taken(*model, open(committed("whole_module.pt")));
}

TEST(OtherWriters, EveryDTypeOfPythonIsTaken) {
  struct Loose : nn::Module {
  } model;
  const Checkpoint file = open(committed("dtypes.pt"));
  using ::torch::ScalarType;
  for (const auto& [name, type] :
       std::initializer_list<std::pair<const char*, ScalarType>>{{"float64", ::torch::kFloat64},
                                                                 {"float32", ::torch::kFloat32},
                                                                 {"float16", ::torch::kFloat16},
                                                                 {"bfloat16", ::torch::kBFloat16},
                                                                 {"int64", ::torch::kInt64},
                                                                 {"int32", ::torch::kInt32},
                                                                 {"int16", ::torch::kInt16},
                                                                 {"int8", ::torch::kInt8},
                                                                 {"uint8", ::torch::kUInt8},
                                                                 {"bool", ::torch::kBool},
                                                                 {"complex64", ScalarType::ComplexFloat},
                                                                 {"complex128", ScalarType::ComplexDouble}})
    model.register_buffer(name, ::torch::zeros({2, 3}, type));
  const LoadReport report = load(model, committed("dtypes.pt"));
  EXPECT_EQ(report.loaded, 12U);
  EXPECT_TRUE(report.dtype_changes.empty());
  expect_taken(model, file);
}

TEST(OtherWriters, ViewsAreTakenWhateverTheirStrides) {
  struct Loose : nn::Module {
  } model;
  const Checkpoint file = open(committed("views.pt"));
  for (const TensorInfo& row : file.tensors()) model.register_buffer(row.name, ::torch::zeros(row.shape));
  EXPECT_EQ(load(model, committed("views.pt")).loaded, 6U);
  expect_taken(model, file);
}

using Archives = test::TemporaryFolder;

/// One tensor `a` in a safetensors file whose data start where the header happens to end.
void put_safetensors(const std::string& path, const std::string& dtype, const std::string& shape,
                     const std::string& data, std::size_t header_bytes) {
  std::string header = R"({"a":{"dtype":")" + dtype + R"(","shape":)" + shape + R"(,"data_offsets":[0,)" +
                       std::to_string(data.size()) + "]}}";
  ASSERT_LE(header.size(), header_bytes);
  header.resize(header_bytes, ' ');
  std::string length(8, '\0');
  length[0] = static_cast<char>(header_bytes);
  test::put(path, length + header + data);
}

TEST_F(Archives, UnalignedElementsAreCopied) {
  struct Loose : nn::Module {
  } model;
  const ::torch::Tensor live = model.register_buffer("a", ::torch::zeros({2, 3}, ::torch::kFloat64));
  const ::torch::Tensor values = ::torch::randn({2, 3}, ::torch::kFloat64);
  for (const std::size_t header_bytes : {96U, 97U, 98U, 99U, 100U}) {
    ASSERT_NO_FATAL_FAILURE(
        put_safetensors(path("a.safetensors"), "F64", "[2,3]", tenon_test::value_bytes(values), header_bytes));
    live.zero_();
    EXPECT_EQ(load(model, path("a.safetensors")).loaded, 1U);
    EXPECT_TRUE(live.equal(values)) << header_bytes;
  }
}

TEST_F(Archives, Float8IsConvertedToTheModelsDType) {
  struct Loose : nn::Module {
  } model;
  const ::torch::Tensor live = model.register_buffer("a", ::torch::zeros({4}));
  // float8_e4m3fn: 0 0110 000 is 2^-1, 0 0000 001 is 2^-9, 1 0111 100 is -1.5, 0 1111 110 is 448.
  ASSERT_NO_FATAL_FAILURE(put_safetensors(path("a.safetensors"), "F8_E4M3", "[4]", "\x30\x01\xbc\x7e", 64));
  const LoadReport report = load(model, path("a.safetensors"));
  ASSERT_EQ(report.dtype_changes.size(), 1U);
  EXPECT_EQ(report.dtype_changes[0].checkpoint, DType::Float8E4M3FN);
  EXPECT_TRUE(live.equal(::torch::tensor({0.5F, 0.001953125F, -1.5F, 448.0F})));
}

TEST_F(Archives, LibTorchsOwnArchiveLoadsByName) {
  Block saved, loaded;
  ::torch::save(saved, path("own.archive"));
  EXPECT_EQ(open(path("own.archive")).format(), Format::LibtorchArchive);
  load(*loaded, path("own.archive"));
  EXPECT_TRUE(same_values(*saved, *loaded));
}

TEST_F(Archives, LibTorchsPickleLoadReadsEveryValue) {
  Block saved;
  saved->to(::torch::kFloat64);
  save(*saved, path("a.pt"));
  const std::string bytes = test::get(path("a.pt"));
  const auto dict = ::torch::pickle_load({bytes.begin(), bytes.end()}).toGenericDict();
  const auto held = held_by(*saved);
  ASSERT_EQ(dict.size(), held.size());
  for (const tenon_test::Held& row : held) {
    const ::torch::Tensor read = dict.at(row.name).toTensor();
    EXPECT_EQ(read.scalar_type(), row.dtype) << row.name;
    EXPECT_EQ(read.sizes().vec(), row.shape) << row.name;
    EXPECT_EQ(tenon_test::value_bytes(read), row.values) << row.name;
  }
}

#if TORCH_VERSION_MAJOR > 2 || (TORCH_VERSION_MAJOR == 2 && TORCH_VERSION_MINOR >= 3)
TEST_F(Archives, TheDTypesOfNewerLibTorchGoThereAndBack) {
  struct Loose : nn::Module {
  } saved, loaded;
  using ::torch::ScalarType;
  for (const ScalarType type :
       {ScalarType::Float8_e5m2, ScalarType::Float8_e4m3fn, ScalarType::Float8_e5m2fnuz, ScalarType::Float8_e4m3fnuz,
        ScalarType::UInt16, ScalarType::UInt32, ScalarType::UInt64}) {
    saved.register_buffer(::torch::toString(type), ::torch::randint(1, 9, {2, 3}).to(type));
    loaded.register_buffer(::torch::toString(type), ::torch::zeros({2, 3}).to(type));
  }
  for (const char* name : {"a.pt", "a.safetensors"}) {
    save(saved, path(name));
    EXPECT_EQ(load(loaded, path(name)).loaded, 7U);
    EXPECT_TRUE(same_values(saved, loaded)) << name;
  }
}
#endif

}  // namespace
}  // namespace tenon::torch
