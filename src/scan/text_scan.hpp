// Text: git-lfs pointers, web pages, JSON of every kind, and pickles of protocol 0, which are text as well.
#pragma once

#include <string_view>

#include "scan/collector.hpp"

namespace tenon::scanning {

/// UTF-8 without control characters, as far as its first bytes tell.
bool looks_like_text(std::string_view bytes);

void scan_text(const Part& part, Collector& out);

/// Why a chat template does more than format text; empty when it does not.
std::string_view template_danger(std::string_view text);

/// Why text that a program may show or run is suspicious: a script element, a shell line.
std::string_view suspicious_text(std::string_view text);

}  // namespace tenon::scanning
