#include "tensor/numbers.hpp"

#include <cmath>
#include <utility>

#include "tensor/codecs.hpp"

namespace tenon::tensor {

std::vector<double> numbers(const TensorView& view) {
  std::vector<double> result;
  result.reserve(static_cast<std::size_t>(element_count(view.shape)));
  dispatch(view.dtype, [&]<class Codec>() {
    for_each_block(view, [&](std::span<const std::byte> block) {
      for (std::size_t at = 0; at < block.size(); at += Codec::kBytes)
        result.push_back(Codec::template decode_part<double>(block.data() + at));
    });
  });
  return result;
}

Tensor from_numbers(std::span<const double> values, DType dtype, Shape shape) {
  std::vector<std::byte> bytes(byte_size(shape, dtype));
  TENON_ASSERT(static_cast<std::int64_t>(values.size()) == element_count(shape));
  std::byte* out = bytes.data();
  dispatch(dtype, [&]<class Codec>() {
    for (const double value : values) {
      Codec::encode_part(Codec::kIsInteger ? std::nearbyint(value) : value, out);
      out += Codec::kBytes;
    }
  });
  return make_tensor(dtype, std::move(shape), std::move(bytes));
}

std::int64_t extent_product(const Shape& shape, std::size_t from, std::size_t to) {
  std::int64_t product = 1;
  for (std::size_t i = from; i < to; ++i) product *= shape[i];
  return product;
}

}  // namespace tenon::tensor
