// libFuzzer: whatever the bytes, open_npy() gives an Error or an answer, and all that it lists can be read. A magic is
// put in front, so that the header is what changes.
#include <cstddef>
#include <cstdint>
#include <string>

#include "formats/npy.hpp"
#include "read_all.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t size) {
  std::string file(tenon::formats::kNpyMagic);
  file.append(reinterpret_cast<const char*>(bytes), size);
  tenon::fuzz::read_all(reinterpret_cast<const std::uint8_t*>(file.data()), file.size(), tenon::formats::open_npy);
  return 0;
}
