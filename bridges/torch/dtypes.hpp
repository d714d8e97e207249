// The element types that tenon shares with the LibTorch that it is compiled against.
#pragma once

#include <optional>

#include <torch/torch.h>

#include <tenon/dtype.hpp>

namespace tenon::torch_bridge {

/// Nothing for a type that the other side does not have.
std::optional<DType> dtype_of(::torch::ScalarType type);
std::optional<::torch::ScalarType> scalar_type_of(DType dtype);

}  // namespace tenon::torch_bridge
