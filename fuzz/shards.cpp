// Fuzzes the readers of what names other files: the index of shards and the metadata of a distributed checkpoint.
#include <cstddef>
#include <cstdint>
#include <vector>

#include <tenon/error.hpp>

#include "formats/dcp_metadata.hpp"
#include "formats/sharded.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto* const begin = reinterpret_cast<const std::byte*>(data);
  const auto file = tenon::io::MappedFile::of_bytes(std::vector<std::byte>(begin, begin + size), "fuzzed");
  tenon::OpenOptions options;
  options.limits.pickle_nodes = 1'000'000;
  const tenon::formats::OpenRequest request{"/nonexistent/fuzzed", file, options};
  try {
    if (size > 0 && data[0] == '{')
      tenon::formats::open_sharded(request);
    else
      tenon::formats::read_dcp_metadata(request);
  } catch (const tenon::Error&) {
  }
  return 0;
}
