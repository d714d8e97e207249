#include "diagnose/file_kind.hpp"

#include <algorithm>
#include <iterator>

#include "base/cursor.hpp"
#include "base/text.hpp"
#include "base/utf8.hpp"

namespace tenon::diagnosis {
namespace {

using Bytes = std::span<const std::byte>;

constexpr std::size_t kHeadBytes = 1'024;
constexpr std::size_t kZipTailBytes = 65'557;  // the end record (22 bytes) and the longest comment

std::string_view head_of(Bytes bytes) { return base::as_text(bytes.first(std::min(bytes.size(), kHeadBytes))); }

std::string size_text(Bytes bytes) { return "the file has " + base::bytes_text(bytes.size()); }

std::string starts_text(Bytes bytes, std::size_t count) {
  return "it starts with `" + base::escape_for_terminal(head_of(bytes).substr(0, count)) + "`";
}

struct Magic {
  std::string_view bytes;
  std::size_t at;
  Condition condition;
  std::string_view what;
  std::string_view help;
};
using namespace std::string_view_literals;
constexpr std::string_view kDownload =
    "download the file itself again and compare its size with the one that is published";
constexpr std::string_view kUnpack = "unpack it; the checkpoint may be inside";
constexpr std::string_view kConvert = "load it with the library that wrote it and save its tensors as safetensors";
constexpr Magic kMagics[] = {
    {"version https://git-lfs", 0, Condition::Stand, "a git-lfs pointer, a few lines that stand for the file",
     "fetch the file itself    git lfs pull"},
    {"GGUF"sv, 0, Condition::Damaged, "a GGUF file that is cut or contradicts itself", kDownload},
    {"\x89HDF\r\n\x1a\n"sv, 0, Condition::Foreign, "an HDF5 file (Keras and others)", kConvert},
    {"\x93NUMPY"sv, 0, Condition::Foreign, "one NumPy array (.npy)", "load it with numpy.load"},
    {"\x1f\x8b"sv, 0, Condition::Foreign, "a gzip archive", kUnpack},
    {"BZh"sv, 0, Condition::Foreign, "a bzip2 archive", kUnpack},
    {"\xfd"
     "7zXZ\0"sv,
     0, Condition::Foreign, "an xz archive", kUnpack},
    {"7z\xbc\xaf\x27\x1c"sv, 0, Condition::Foreign, "a 7z archive", kUnpack},
    {"Rar!\x1a\x07"sv, 0, Condition::Foreign, "a RAR archive", kUnpack},
    {"(\xb5/\xfd"sv, 0, Condition::Foreign, "a zstd archive", kUnpack},
    {"ustar"sv, 257, Condition::Foreign, "a tar archive", kUnpack},
    {"%PDF"sv, 0, Condition::Foreign, "a PDF document", kDownload},
    {"\x89PNG"sv, 0, Condition::Foreign, "a PNG image", kDownload},
    {"\xff\xd8\xff"sv, 0, Condition::Foreign, "a JPEG image", kDownload},
    {"\x7f"
     "ELF"sv,
     0, Condition::Foreign, "a program or library (ELF)", ""},
    {"<?xml"sv, 0, Condition::Stand, "an XML document, most often a server's error message", kDownload},
    {"#!"sv, 0, Condition::Foreign, "a script", ""},
};

bool has_at(Bytes bytes, std::size_t at, std::string_view magic) {
  return bytes.size() >= at + magic.size() && base::as_text(bytes.subspan(at, magic.size())) == magic;
}

std::string lower(std::string_view text) {
  std::string result(text);
  for (char& c : result)
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  return result;
}

bool is_html(Bytes bytes) {
  const std::string head = lower(head_of(bytes));
  const auto start = head.find_first_not_of(" \t\r\n\xef\xbb\xbf");
  if (start == std::string::npos || head[start] != '<') return false;
  return head.find("<html") != std::string::npos || head.find("<!doctype html") != std::string::npos ||
         head.find("<head") != std::string::npos;
}

bool has_end_record(Bytes bytes) {
  const auto tail = bytes.last(std::min(bytes.size(), kZipTailBytes));
  return base::as_text(tail).find("PK\x05\x06") != std::string_view::npos;
}

/// Share of the file's bytes that are zero at its end, found from behind; a file system writes them after a crash.
std::size_t zeros_at_end(Bytes bytes) {
  const auto last = std::find_if(bytes.rbegin(), bytes.rend(), [](std::byte byte) { return byte != std::byte{0}; });
  return static_cast<std::size_t>(std::distance(bytes.rbegin(), last));
}

FileKind zip_kind(Bytes bytes) {
  if (!has_end_record(bytes))
    return {Condition::Damaged, "a zip archive that is cut: its directory, which stands at the end, is not there",
            size_text(bytes) + ", starts as a zip archive, and has no end record in its last " +
                base::count_text(std::min(bytes.size(), kZipTailBytes)) + " bytes",
            std::string(kDownload)};
  return {Condition::Unknown, "a zip archive", size_text(bytes), ""};
}

/// safetensors: the first eight bytes are the length of a JSON header that follows.
bool is_cut_safetensors(Bytes bytes) {
  if (bytes.size() < 10 || !has_at(bytes, 8, "{\"")) return false;
  base::Cursor cursor(bytes.first(8), "");
  const std::uint64_t header_bytes = cursor.u64("header length");
  return header_bytes > bytes.size() - 8 && header_bytes < (1ULL << 32);
}

bool is_text(Bytes bytes) {
  const std::string_view head = head_of(bytes);
  const auto is_control = [](char c) { return static_cast<unsigned char>(c) < 9; };
  return !head.empty() && std::none_of(head.begin(), head.end(), is_control) &&
         (bytes.size() > head.size() || base::is_utf8(head));
}

}  // namespace

FileKind kind_of(Bytes bytes) {
  if (bytes.empty())
    return {Condition::Damaged, "an empty file", "the file has 0 bytes",
            "copy or download it again; the disk may have been full"};
  for (const Magic& magic : kMagics)
    if (has_at(bytes, magic.at, magic.bytes))
      return {magic.condition, std::string(magic.what), size_text(bytes) + "; " + starts_text(bytes, 24),
              std::string(magic.help)};
  if (is_html(bytes))
    return {Condition::Stand, "a web page (HTML): a login, quota or confirmation page was saved under the file's name",
            size_text(bytes) + "; " + starts_text(bytes, 24), std::string(kDownload)};
  const std::size_t zeros = zeros_at_end(bytes);
  if (zeros == bytes.size())
    return {Condition::Damaged, "a file of zeros: its size was recorded, its content never reached the disk",
            base::count_text(zeros) + " of " + base::count_text(bytes.size()) + " bytes are zero",
            "take an older checkpoint, or copy the file again"};
  if (has_at(bytes, 0, "PK\x03\x04")) return zip_kind(bytes);
  if (is_cut_safetensors(bytes))
    return {Condition::Damaged, "a safetensors file that is cut within its header", size_text(bytes),
            std::string(kDownload)};
  if (is_text(bytes))
    return {Condition::Foreign, "a text file", size_text(bytes) + "; " + starts_text(bytes, 24),
            std::string(kDownload)};
  if (zeros >= 4'096)
    return {Condition::Damaged, "a file whose end is zeros: writing it was interrupted",
            base::count_text(zeros) + " of " + base::count_text(bytes.size()) + " bytes at the end are zero",
            "take an older checkpoint, or copy the file again"};
  return {Condition::Unknown, "", size_text(bytes) + "; " + starts_text(bytes, 8), ""};
}

}  // namespace tenon::diagnosis
