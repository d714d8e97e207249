// libFuzzer: any text gets an answer, in text and JSON. Build with -DTENON_FUZZ=ON and Clang; run by scripts/fuzz.
#include <cstddef>
#include <cstdint>
#include <string>

#include <tenon/diagnose.hpp>
#include <tenon/render.hpp>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t size) {
  const tenon::Report report = tenon::explain({std::string(reinterpret_cast<const char*>(bytes), size), {}, {}});
  tenon::render_text(report, tenon::CommandHint{}, tenon::TextStyle{});
  tenon::render_json(report, "explain");
  return 0;
}
