// Fuzzes scan(): whatever the bytes, an answer in bounded time and memory, in every form it is shown in.
//
// What the answer must hold: a verdict that its findings explain, previews and text that cannot steer a terminal.
#include <tenon/render.hpp>
#include <tenon/scan.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <span>
#include <string>

namespace {

void require(bool holds) {
  if (!holds) std::abort();
}

bool is_printable(const std::string& text) {
  return std::none_of(text.begin(), text.end(), [](char c) {
    const auto byte = static_cast<unsigned char>(c);
    return (byte < 0x20 && c != '\n') || byte == 0x7F;
  });
}

tenon::ScanOptions small_limits() {
  tenon::ScanOptions options;
  options.limits.scan_unpacked_bytes = 16ULL << 20;
  options.limits.scan_bomb_bytes = 4ULL << 20;
  options.limits.pickle_nodes = 1'000'000;
  return options;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t count) {
  static const tenon::ScanOptions options = small_limits();
  const std::span<const std::byte> content(reinterpret_cast<const std::byte*>(bytes), count);
  const tenon::ScannedFile file = tenon::scan(content, "input", options);
  require((file.verdict == tenon::ScanVerdict::Safe) == file.findings.empty());
  require(file.findings.empty() || file.findings.front().verdict == file.verdict);
  for (const tenon::ScanFinding& finding : file.findings) require(finding.preview.size() <= 80);
  require(is_printable(tenon::render_text(file, tenon::TextStyle{})));
  tenon::render_json({file});
  tenon::render_sarif({file});
  return 0;
}
