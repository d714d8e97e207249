#include "scan/npy_scan.hpp"

#include <algorithm>
#include <optional>

#include "base/checked.hpp"
#include "base/cursor.hpp"
#include "base/text.hpp"
#include "formats/npy_header.hpp"
#include "scan/pickle_scan.hpp"

namespace tenon::scanning {

namespace {

using formats::NpyHeader;

/// NumPy evaluates the header as a Python literal and makes a type of any text in it: what is not plainly one of an
/// array is a finding.
std::optional<NpyHeader> header_or_finding(const Part& part, Collector& out) {
  try {
    return formats::read_npy_header(part.bytes, {}, out.limits());
  } catch (const Error& error) {
    if (!error.limit.empty())
      out.add(error, "npy-header", part);
    else
      out.add(ScanVerdict::Malformed, "npy-header", part, error.where.byte.value_or(0),
              "the array's header is none that NumPy writes: " + error.what_happened);
  }
  return std::nullopt;
}

/// Nothing where it passes 2^64.
std::optional<std::uint64_t> bytes_of_elements(const NpyHeader& header) {
  std::optional<std::uint64_t> bytes = header.item_bytes;
  for (const std::int64_t extent : header.shape)
    bytes = bytes ? base::checked_multiply(*bytes, static_cast<std::uint64_t>(extent)) : bytes;
  return bytes;
}

/// False when bytes follow the elements.
bool check_length(const Part& part, const NpyHeader& header, std::uint64_t whole_bytes, Collector& out) {
  const auto need = bytes_of_elements(header);
  const std::uint64_t left = whole_bytes - std::min(whole_bytes, header.data_begin);
  if (!need || *need > left)
    out.add(ScanVerdict::Malformed, "npy-header", part, 0,
            "the array's shape needs more bytes than the file has: " + base::plural(left, "byte"));
  return !need || *need >= left;
}

}  // namespace

bool looks_like_npy(std::span<const std::byte> bytes) { return base::as_text(bytes).starts_with(formats::kNpyMagic); }

bool scan_npy_header(const Part& head, std::uint64_t whole_bytes, Collector& out) {
  const auto header = header_or_finding(head, out);
  if (!header) return false;
  if (header->holds_objects) return false;
  if (!check_length(head, *header, whole_bytes, out)) return false;
  out.budget().scanned_bytes += header->data_begin;
  return true;
}

void scan_npy(const Part& part, Collector& out) {
  out.name_format("NumPy array");
  const auto header = header_or_finding(part, out);
  if (!header) return scan_strays(part, out);
  if (header->holds_objects) {
    scan_pickles(part.from(header->data_begin), Start::Certain, {}, out);
    return;
  }
  if (check_length(part, *header, part.bytes.size(), out)) return;
  const std::uint64_t end = header->data_begin + *bytes_of_elements(*header);
  out.add_unexplained(part, end, part.bytes.size() - end);
  scan_strays(part.from(end), out);
}

}  // namespace tenon::scanning
