// One tensor across the bridge: a live one as tenon sees it, a stored one copied into a live one.
#pragma once

#include <cstddef>
#include <span>
#include <vector>

#include <torch/torch.h>

#include <tenon/tensor.hpp>

namespace tenon::torch_bridge {

/// The live tensor's elements as a tenon Tensor: shares its memory on the CPU, copies from other devices.
/// Lazy conj and neg bits are resolved. Needs a strided tensor of a shared dtype (see dtypes.hpp).
Tensor borrow(const ::torch::Tensor& live);

/// True where the elements stand dense, row-major and without lazy bits in memory of the CPU.
bool is_dense_on_cpu(const ::torch::Tensor& live);

/// Of a tensor on the CPU: its bytes from the first element to the last, gaps included.
std::span<std::byte> memory_of(const ::torch::Tensor& live);

/// Copies stored tensors into live ones, straight from where they are mapped. Where both sides are the same bytes (one
/// dtype, dense, on the CPU) they are copied in pieces on two threads, at last; tensors that LibTorch cannot read as
/// they lie (byte order, alignment) pass one after another through a buffer as large as the largest.
class Copier {
 public:
  /// Before the first copy: takes the memory that `stored` will need, so that no copy fails for want of it. A dtype
  /// that LibTorch does not know is converted to `live`, the one exception to "no second copy".
  void prepare(Tensor& stored, DType live);

  /// `stored` went through prepare() and has the shape of `live`; LibTorch converts between dtypes. Autograd does not
  /// see it. The values may come with finish(): until then `stored` must stay.
  void copy(const ::torch::Tensor& live, const TensorView& stored);

  void finish();

 private:
  /// Bytes that only need to be moved.
  struct Run {
    std::byte* to;
    const std::byte* from;
    std::size_t count;
  };
  bool any_overlap();

  std::vector<std::byte> buffer_;
  std::vector<Run> runs_;
};

}  // namespace tenon::torch_bridge
