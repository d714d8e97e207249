#include <tenon/verify.hpp>

#include "base/digest.hpp"

namespace tenon {

std::string sha256(const TensorView& view) {
  base::Sha256 digest;
  for_each_block(view, [&](std::span<const std::byte> block) { digest.update(block); });
  return "sha256:" + digest.hex();
}

}  // namespace tenon
