#include "torch/dtypes.hpp"

#include <algorithm>
#include <iterator>

namespace tenon::torch_bridge {
namespace {

struct Pair {
  ::torch::ScalarType torch;
  DType tenon;
};

// Source: c10/core/ScalarType.h of 1.13. Quantised types carry scales beside their elements and are left out.
constexpr Pair kPairs[] = {
    {::torch::kFloat64, DType::Float64},
    {::torch::kFloat32, DType::Float32},
    {::torch::kFloat16, DType::Float16},
    {::torch::kBFloat16, DType::BFloat16},
    {::torch::kInt64, DType::Int64},
    {::torch::kInt32, DType::Int32},
    {::torch::kInt16, DType::Int16},
    {::torch::kInt8, DType::Int8},
    {::torch::kUInt8, DType::UInt8},
    {::torch::kBool, DType::Bool},
    {::torch::ScalarType::ComplexDouble, DType::Complex128},
    {::torch::ScalarType::ComplexFloat, DType::Complex64},
    {::torch::ScalarType::ComplexHalf, DType::Complex32},
};

}  // namespace

std::optional<DType> dtype_of(::torch::ScalarType type) {
  const auto found = std::find_if(std::begin(kPairs), std::end(kPairs), [&](const Pair& p) { return p.torch == type; });
  return found == std::end(kPairs) ? std::nullopt : std::optional(found->tenon);
}

std::optional<::torch::ScalarType> scalar_type_of(DType dtype) {
  const auto found =
      std::find_if(std::begin(kPairs), std::end(kPairs), [&](const Pair& p) { return p.tenon == dtype; });
  return found == std::end(kPairs) ? std::nullopt : std::optional(found->torch);
}

}  // namespace tenon::torch_bridge
