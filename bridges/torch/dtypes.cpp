#include "torch/dtypes.hpp"

#include <algorithm>
#include <iterator>

#include <torch/version.h>

// Float8 came with 2.1 and 2.2, the wider unsigned integers with 2.3: all of them from there on.
#define TENON_TORCH_HAS_2_3_TYPES (TORCH_VERSION_MAJOR > 2 || (TORCH_VERSION_MAJOR == 2 && TORCH_VERSION_MINOR >= 3))

namespace tenon::torch_bridge {
namespace {

struct Pair {
  ::torch::ScalarType torch;
  DType tenon;
};

// Source: c10/core/ScalarType.h of 1.13 and 2.3. Quantised types carry scales beside their elements and are left out.
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
#if TENON_TORCH_HAS_2_3_TYPES
    {::torch::ScalarType::Float8_e5m2, DType::Float8E5M2},
    {::torch::ScalarType::Float8_e4m3fn, DType::Float8E4M3FN},
    {::torch::ScalarType::Float8_e5m2fnuz, DType::Float8E5M2FNUZ},
    {::torch::ScalarType::Float8_e4m3fnuz, DType::Float8E4M3FNUZ},
    {::torch::ScalarType::UInt16, DType::UInt16},
    {::torch::ScalarType::UInt32, DType::UInt32},
    {::torch::ScalarType::UInt64, DType::UInt64},
#endif
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
