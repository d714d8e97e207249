// Fuzzes open(): whatever the bytes, every reader gives an answer or an Error, in bounded time and memory, and what is
// listed can be read or says why not.
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include <tenon/checkpoint.hpp>
#include <tenon/error.hpp>

#include "base/cursor.hpp"
#include "formats/open.hpp"
#include "sign.hpp"
#include "small_limits.hpp"

namespace {

tenon::OpenOptions options_of(bool salvage) {
  tenon::OpenOptions options;
  options.salvage = salvage ? tenon::Salvage::Yes : tenon::Salvage::No;
  options.limits = tenon::fuzz::small_limits();
  return options;
}

void read_all(const tenon::Checkpoint& checkpoint) {
  std::uint64_t budget = 64 << 20;
  for (std::size_t i = 0; i < checkpoint.tensors().size() && i < 1'000; ++i) {
    const tenon::TensorInfo& info = checkpoint.tensors()[i];
    if (tenon::byte_size(info.shape, info.dtype) > budget) continue;
    budget -= tenon::byte_size(info.shape, info.dtype);
    try {
      tenon::for_each_block(checkpoint.tensor(i), [](std::span<const std::byte>) {});
    } catch (const tenon::Error&) {
    }
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  std::string text(reinterpret_cast<const char*>(data), size);
  tenon::fuzz::sign_archive(text);
  const auto bytes = tenon::base::as_bytes(text);
  const auto file = tenon::io::MappedFile::of_bytes(std::vector<std::byte>(bytes.begin(), bytes.end()), "fuzzed");
  for (const bool salvage : {false, true}) try {
      const auto core = tenon::formats::open_core({"/nonexistent/fuzzed", file, options_of(salvage)});
      read_all(tenon::Checkpoint(core));
    } catch (const tenon::Error&) {
    }
  return 0;
}
