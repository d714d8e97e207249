// scan for people: the verdict, why, where, and the way out. Everything from the file is escaped.
#include <tenon/render.hpp>

#include <algorithm>
#include <string>
#include <vector>

#include <fmt/format.h>

#include "base/text.hpp"
#include "render/page.hpp"

namespace tenon {

namespace {

using rendering::Ink;
using rendering::Page;
using rendering::safe;

Ink ink_of(ScanVerdict verdict) {
  switch (verdict) {
    case ScanVerdict::Safe: return Ink::Green;
    case ScanVerdict::UnknownCode: return Ink::Yellow;
    case ScanVerdict::Malformed:
    case ScanVerdict::Dangerous: return Ink::Red;
  }
  return Ink::Red;
}

std::string place_of(const ScanFinding& finding) {
  std::vector<std::string> parts;
  if (!finding.member.empty()) parts.push_back(safe(finding.member));
  if (finding.offset) parts.push_back("byte " + base::count_text(*finding.offset));
  if (finding.opcode) parts.push_back("opcode " + base::count_text(*finding.opcode));
  return base::join(parts, ", ");
}

void add_finding(const ScanFinding& finding, Page& page) {
  const std::string subject =
      finding.global.empty() ? std::string(scan_verdict_name(finding.verdict)) : safe(finding.global);
  page.paragraph(fmt::format("  {}: ", subject), safe(finding.why), 6, ink_of(finding.verdict));
  const std::string place = place_of(finding);
  if (!place.empty()) page.paragraph("      at ", place, 9);
  if (!finding.preview.empty()) page.paragraph("      with ", safe(finding.preview), 11);
}

/// What the reader can do now.
std::string way_out(const ScannedFile& file) {
  const std::string convert = "tenon convert " + shell_quoted(file.file) + " OUT.safetensors";
  switch (file.verdict) {
    case ScanVerdict::Safe: return {};
    case ScanVerdict::UnknownCode:
      return "nothing of the file ran here; `" + convert +
             "` takes the tensors out without running anything, or load it where you trust who made it";
    case ScanVerdict::Malformed: return "fetch the file again; programs that load it may each see something else";
    case ScanVerdict::Dangerous:
      return "do not load it; nothing of it ran here. Tensors, if it has any, can be taken out by `" + convert + "`";
  }
  return {};
}

}  // namespace

std::string verdict(const ScannedFile& file) {
  const std::string format = file.format.empty() ? "" : fmt::format(" ({})", safe(file.format));
  return fmt::format("{}: {}{}", safe(file.file), scan_verdict_name(file.verdict), format);
}

std::string render_text(const ScannedFile& file, const TextStyle& style) {
  constexpr std::size_t kShown = 10;
  Page page(style);
  page.paragraph(verdict(file), "", 2, ink_of(file.verdict));
  const std::size_t shown = style.all ? file.findings.size() : std::min(file.findings.size(), kShown);
  for (std::size_t i = 0; i < shown; ++i) add_finding(file.findings[i], page);
  if (shown < file.findings.size())
    page.line(fmt::format("  ... and {} more (--all)", base::count_text(file.findings.size() - shown)));
  for (const std::string& note : file.notes) page.paragraph("  note: ", safe(note), 4);
  const std::string next = way_out(file);
  if (!next.empty()) page.paragraph("  next: ", next, 4, Ink::Bold);
  return page.take();
}

}  // namespace tenon
