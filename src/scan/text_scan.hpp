// Text: git-lfs pointers, web pages, JSON of every kind, and pickles of protocol 0, which are text as well.
#pragma once

#include <cstdint>
#include <string_view>

#include "scan/collector.hpp"

namespace tenon::scanning {

/// UTF-8 without control characters, as far as its first bytes tell.
bool looks_like_text(std::string_view bytes);

void scan_text(const Part& part, Collector& out);

/// Whether a chat template does more than format text, and why: dangerous where it says so, unknown_code where a name
/// is computed, safe with an empty `why` otherwise.
struct TemplateJudgement {
  ScanVerdict verdict = ScanVerdict::Safe;
  std::string_view why;
};
TemplateJudgement judge_template(std::string_view text);

/// Reports the template when it is not safe; it stands at `offset` of the part.
void check_template(std::string_view text, const Part& part, std::uint64_t offset, Collector& out);

/// Why text that a program may show or run is suspicious: a script element, a shell line.
std::string_view suspicious_text(std::string_view text);

}  // namespace tenon::scanning
