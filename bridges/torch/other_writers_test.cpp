// What Python's torch and LibTorch itself wrote loads into live modules, and both read what the bridge writes.
#include <gtest/gtest.h>

#include <string>

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

}  // namespace
}  // namespace tenon::torch
