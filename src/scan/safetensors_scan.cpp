// safetensors holds no code; its header is read as strictly as open() reads it, and its metadata are text that other
// programs show.
#include "scan/other_formats.hpp"

#include "formats/safetensors.hpp"
#include "scan/preview.hpp"
#include "scan/text_scan.hpp"

namespace tenon::scanning {

void scan_safetensors(const Part& part, Collector& out) {
  out.name_format("safetensors");
  try {
    for (const auto& [key, value] : formats::check_safetensors(part.bytes, out.file(), out.limits()))
      if (const auto why = suspicious_text(value); !why.empty()) {
        ScanFinding finding;
        finding.rule = "suspicious-metadata";
        finding.verdict = ScanVerdict::UnknownCode;
        finding.member = part.member;
        finding.offset = part.origin + 8;
        finding.preview = preview(value);
        finding.why = "the metadata `" + preview(key) + "` " + std::string(why) + "; nothing here runs it";
        out.add(std::move(finding));
      }
  } catch (const Error& error) {
    out.add(error, "safetensors-malformed", part);
  }
}

}  // namespace tenon::scanning
