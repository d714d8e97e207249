// One tensor across the bridge: a live one as tenon sees it, a stored one copied into a live one.
#pragma once

#include <torch/torch.h>

#include <tenon/tensor.hpp>

namespace tenon::torch_bridge {

/// The live tensor's elements as a tenon Tensor: shares its memory on the CPU, copies from other devices.
/// Lazy conj and neg bits are resolved. Needs a strided tensor of a shared dtype (see dtypes.hpp).
Tensor borrow(const ::torch::Tensor& live);

/// Copies `stored` into `live`: same shape; dtypes differ only where tenon or LibTorch converts them. Autograd does not
/// see it. Holds no second copy, except of tensors that LibTorch cannot read as they lie (byte order, alignment,
/// dtype).
void copy_into(const ::torch::Tensor& live, const TensorView& stored);

}  // namespace tenon::torch_bridge
