// libFuzzer: whatever the bytes, open_onnx() gives an Error or an answer, and all that it lists can be read.
#include <cstddef>
#include <cstdint>

#include "formats/onnx.hpp"
#include "read_all.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t size) {
  tenon::fuzz::read_all(bytes, size, tenon::formats::open_onnx);
  return 0;
}
