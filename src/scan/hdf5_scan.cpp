// HDF5: attributes that hold Keras's configurations, and what leads to other files. Both are found by the object tree,
// and once more by their bytes, for what the tree hides: a configuration is contiguous JSON, an external link a
// message. Source: HDF5 File Format Specification 3.0, sections II (superblock) and IV.A.2.g (link message).
#include "scan/other_formats.hpp"

#include <algorithm>
#include <string>

#include "base/cursor.hpp"
#include "base/text.hpp"
#include "scan/hdf5_tree.hpp"
#include "scan/json_tree.hpp"
#include "scan/keras_scan.hpp"
#include "scan/preview.hpp"

namespace tenon::scanning {

namespace {

using base::as_text;

constexpr std::string_view kSignature{"\x89HDF\r\n\x1a\n", 8};

std::optional<std::uint64_t> superblock_at(std::span<const std::byte> bytes) {
  for (std::uint64_t at = 0; at < bytes.size(); at = at == 0 ? 512 : at * 2)
    if (as_text(bytes.subspan(at)).starts_with(kSignature)) return at;
  return std::nullopt;
}

bool is_object_start(std::string_view text) {
  std::size_t at = 1;
  while (at < text.size() && at < 64 && (text[at] == ' ' || text[at] == '\n' || text[at] == '\r' || text[at] == '\t'))
    ++at;
  return at < text.size() && text[at] == '"';
}

/// Every `{"` that begins a whole JSON object; one that names classes is judged.
void scan_configurations(const Part& part, Collector& out) {
  constexpr std::size_t kShortest = 16;
  const std::string_view text = as_text(part.bytes);
  constexpr std::uint64_t kMostBytes = 16ULL << 20;  // random bytes fail at once, forged ones late
  std::uint64_t attempts = 0, spent = 0;
  for (std::size_t at = text.find('{'); at != std::string_view::npos; at = text.find('{', at + 1)) {
    if (text.size() - at < kShortest || !is_object_start(text.substr(at, 70))) continue;
    if (++attempts > out.limits().scan_config_attempts || spent > kMostBytes)
      return out.add_limit(ScanVerdict::UnknownCode, &Limits::scan_config_attempts,
                           "too many places where a configuration may start", part);
    try {
      const JsonTree tree = read_json_tree(text.substr(at), out.limits().json_depth, JsonEnd::Anything);
      if (is_keras_config(tree.root)) scan_keras_config(tree, part, at, out);
      at += tree.end - 1;
    } catch (const Error& error) {  // no JSON, or one that was cut: its inner objects are tried next
      spent += error.where.byte.value_or(0);
    }
  }
}

/// Version 1, a type of 64 (external), a name, and a file and a path that end in NUL.
void scan_external_links(const Part& part, Collector& out) {
  const std::string_view text = as_text(part.bytes);
  for (std::size_t at = text.find('\x40'); at != std::string_view::npos; at = text.find('\x40', at + 1)) {
    if (at < 2 || text[at - 2] != '\x01') continue;
    const auto flags = static_cast<unsigned char>(text[at - 1]);
    if ((flags & 0x08U) == 0 || (flags & 0xE0U) != 0) continue;
    std::size_t next = at + 1 + ((flags & 0x04U) != 0 ? 8 : 0) + ((flags & 0x10U) != 0 ? 1 : 0);
    const std::size_t width = std::size_t{1} << (flags & 3U);
    if (next + width + 2 > text.size()) continue;
    std::uint64_t name_bytes = 0;
    for (std::size_t i = 0; i < width; ++i)
      name_bytes |= std::uint64_t{static_cast<unsigned char>(text[next + i])} << (8 * i);
    if (name_bytes == 0 || name_bytes > 1024) continue;
    next += width + name_bytes;
    if (next + 5 > text.size()) continue;
    const std::size_t value_bytes = static_cast<unsigned char>(text[next]) |
                                    (static_cast<std::size_t>(static_cast<unsigned char>(text[next + 1])) << 8U);
    if (value_bytes < 5 || value_bytes > 4096 || next + 2 + value_bytes > text.size()) continue;
    const std::string_view value = text.substr(next + 2, value_bytes);
    const std::size_t end = value.find('\0', 1);
    if (value[0] != '\0' || end == std::string_view::npos || end < 2 || value.back() != '\0' || value[end + 1] == '\0')
      continue;
    const std::string_view file = value.substr(1, end - 1);
    if (!std::all_of(file.begin(), file.end(), [](char c) { return static_cast<unsigned char>(c) >= 0x20; })) continue;
    out.add(ScanVerdict::Dangerous, "hdf5-external-link", part, at - 2,
            "reads another file: an external link to `" + preview(file) + "`");
  }
}

/// Keras loads `model_config`; other texts count where they describe objects.
void scan_attribute(std::string_view name, std::string_view value, std::uint64_t at, const Part& part, Collector& out) {
  constexpr std::string_view kBlank{" \t\r\n\0", 5};
  const std::size_t first = value.find_first_not_of(kBlank);
  if (first == std::string_view::npos || value[first] != '{') return;
  const std::string_view text = value.substr(first, value.find_last_not_of(kBlank) + 1 - first);
  try {
    const JsonTree tree = read_json_tree(text, out.limits().json_depth);
    if (is_keras_config(tree.root)) scan_keras_config(tree, part, at + first, out);
  } catch (const Error& error) {
    if (!error.limit.empty())
      out.add_limit(ScanVerdict::UnknownCode, &Limits::json_depth, "the configuration is nested too deeply", part, at);
    else if (name == "model_config")
      out.add(ScanVerdict::UnknownCode, "keras-config", part, at + first,
              "the attribute `model_config` is no whole JSON document: " + error.what_happened);
  }
}

void walk_tree(const Part& part, std::uint64_t begin, Collector& out) {
  const Hdf5Sights sights{[&](std::string_view name, std::string_view value, std::uint64_t at) {
                            scan_attribute(name, value, at, part, out);
                          },
                          [&](std::string_view file, std::string_view how, std::uint64_t at) {
                            out.add(ScanVerdict::Dangerous, "hdf5-external-link", part, at,
                                    "reads another file: " + std::string(how) + " `" + preview(file) + "`");
                          }};
  const Hdf5Walk walk = walk_hdf5(part, begin, sights);
  if (walk.broken > 0)
    out.note(base::plural(walk.broken, "object") + " of the HDF5 tree could not be read to the end: searched by bytes");
  if (walk.overlaps)
    out.add(ScanVerdict::Malformed, "hdf5-overlap", part, begin,
            "blocks of the HDF5 tree lie across each other: not all of them were looked into");
  if (walk.stated_bytes > part.bytes.size())
    out.add(ScanVerdict::Malformed, "hdf5-cut", part, part.bytes.size(),
            "the file is cut short: it says that it has " + base::plural(walk.stated_bytes, "byte"));
}

}  // namespace

bool looks_like_hdf5(std::span<const std::byte> bytes) { return superblock_at(bytes).has_value(); }

void scan_hdf5(const Part& part, Collector& out) {
  out.name_format("HDF5");
  const std::uint64_t begin = superblock_at(part.bytes).value_or(0);
  if (begin > 0)
    out.add(ScanVerdict::UnknownCode, "hdf5-user-block", part, 0,
            "a block of the user's stands in front of the HDF5 data: a reader that begins there sees another file");
  walk_tree(part, begin, out);
  scan_configurations(part, out);
  scan_external_links(part, out);
  out.budget().scanned_bytes += part.bytes.size();
}

}  // namespace tenon::scanning
