// Appending to a log: whole lines, on the disk before the call returns.
#pragma once

#include <string>
#include <string_view>

namespace tenon::io {

/// Appends `line` and a line feed by one write, then fsyncs, and with the first line of a file its folder. Where the
/// file's last line was cut by a crash, a line feed comes first. Throws Error Write.
void append_line(const std::string& path, std::string_view line);

}  // namespace tenon::io
