// Source of the magic numbers: the formats' own documents, see docs/formats/README.md.
#include "scan/content.hpp"

#include <algorithm>
#include <array>
#include <iterator>
#include <string>

#include "base/cursor.hpp"
#include "base/text.hpp"
#include "container/zip_reader.hpp"
#include "formats/torch_legacy.hpp"
#include "formats/torchsharp.hpp"
#include "scan/encodings.hpp"
#include "scan/npy_scan.hpp"
#include "scan/other_formats.hpp"
#include "scan/pickle_scan.hpp"
#include "scan/text_scan.hpp"
#include "scan/unpack.hpp"
#include "scan/zip_records.hpp"
#include "scan/zip_scan.hpp"

namespace tenon::scanning {

namespace {

using base::as_text;

struct Magic {
  std::string_view bytes, name;
};

/// What can hold a pickle and is not unpacked here.
constexpr Magic kClosed[] = {
    {"BZh", "bzip2"},
    {"\xfd"
     "7zXZ",
     "xz"},
    {{"\x5d\0\0", 3}, "lzma"},
    {"7z\xbc\xaf\x27\x1c", "7z"},
    {"Rar!", "RAR"},
    {{"\x28\xb5\x2f\xfd", 4}, "zstd"},
    {{"\x04\x22\x4d\x18", 4}, "lz4"},
    {"\x1f\x9d", "compress"},
    {"LZIP", "lzip"},
    {"MSCF", "cabinet"},
    {"xar!", "xar"},
};

/// Formats whose data hold no Python: known by name, not by structure.
constexpr Magic kInert[] = {
    {"\x89PNG\r\n\x1a\n", "PNG image"},
    {"\xff\xd8\xff", "JPEG image"},
    {"GIF8", "GIF image"},
    {"\x57\xfb\x80\x8b", "TensorFlow table"},
};

bool is_zlib(std::string_view head) {
  if (head.size() < 8 || (head[0] & 0x0F) != 8 || (static_cast<unsigned char>(head[0]) >> 4) > 7) return false;
  return (static_cast<unsigned>(static_cast<unsigned char>(head[0])) * 256 + static_cast<unsigned char>(head[1])) %
                 31 ==
             0 &&
         (static_cast<unsigned char>(head[1]) & 0x20) == 0;
}

/// joblib's first compressed format: `ZF`, the length in hexadecimal, filled up to 21 bytes, then zlib.
constexpr std::uint64_t kZFileHeader = 21;
bool is_zfile(std::string_view head) { return head.starts_with("ZF0x") && head.size() > kZFileHeader + 8; }

bool is_zeros(std::span<const std::byte> bytes) {
  return std::all_of(bytes.begin(), bytes.end(), [](std::byte b) { return b == std::byte{0}; });
}

bool is_printable(std::string_view text) {
  return std::all_of(text.begin(), text.end(),
                     [](char c) { return (c >= 0x20 && c < 0x7F) || c == '\n' || c == '\r' || c == '\t'; });
}

/// Files of source, settings and notes, and those with a dot in front, may be empty: `__init__.py`, `.gitkeep`.
bool may_be_empty(std::string_view file) {
  const std::string_view name = file.substr(file.rfind('/') + 1);
  if (name.starts_with('.')) return name != ".metadata";  // of a distributed checkpoint
  constexpr std::string_view kEndings[] = {".py",  ".pyi",  ".typed", ".txt",  ".md",  ".json",  ".jsonl", ".yaml",
                                           ".yml", ".toml", ".cfg",   ".lock", ".log", ".jinja", ".csv",   ".ini"};
  return std::any_of(std::begin(kEndings), std::end(kEndings),
                     [&](std::string_view ending) { return name.ends_with(ending); });
}

bool looks_like_safetensors(std::span<const std::byte> bytes) {
  if (bytes.size() < 9) return false;
  const auto first = std::to_integer<char>(bytes[8]);
  if (is_printable(as_text(bytes.first(8)))) return false;  // a length has zeros above
  base::Cursor in(bytes, {});
  const std::uint64_t header_bytes = in.u64("header length");
  // A length that fits and text behind it: whatever the text is, its writer meant this format.
  if (header_bytes > 1 && header_bytes <= in.remaining() &&
      looks_like_text(in.text(header_bytes, "header").substr(0, 256)))
    return true;
  if (first != '{' && first != ' ' && first != '\n' && first != '\t') return false;
  if (header_bytes > 1 && header_bytes <= in.remaining()) return true;
  // A length beyond the file, as of one that was cut: only with the start of a header behind it.
  const std::string_view header = as_text(bytes.subspan(8));
  return (header.starts_with("{\"") || header.starts_with("{}")) && !begins_like_pickle(as_text(bytes));
}

/// TensorFlow's index file ends in LevelDB's magic number.
bool is_tensor_bundle(std::span<const std::byte> bytes) {
  constexpr std::string_view kFooter{"\x57\xfb\x80\x8b\x24\x75\x47\xdb", 8};
  return as_text(bytes).ends_with(kFooter);
}

class Content {
 public:
  Content(const Part& part, Place place, Collector& out)
      : part_(part), place_(place), out_(out), text_(as_text(part.bytes)) {}

  void scan() {
    if (part_.bytes.empty() || is_zeros(part_.bytes.first(std::min<std::size_t>(part_.bytes.size(), 1 << 20))))
      return nothing();
    const bool is_zip = looks_like_zip(part_.bytes);
    // An archive that begins as something else is that, too: loaders look at one end or the other.
    if (is_zip && !starts_as_other()) return scan_zip(part_, out_);
    if (is_zip && !container::begins_like_zip(part_.bytes)) {
      out_.add(ScanVerdict::Malformed, "polyglot", part_, 0, "the file begins as one format and ends as a zip archive");
      scan_zip(part_, out_);
    }
    if (scan_known()) return;
    scan_unknown();
  }

 private:
  /// What begins with a whole header of another format is that format, and a zip signature in its tail is chance.
  bool starts_as_other() const {
    return !container::begins_like_zip(part_.bytes) &&
           (begins_like_pickle(text_) || formats::looks_like_torch_legacy(part_.bytes) || text_.starts_with("GGUF") ||
            looks_like_npy(part_.bytes) || looks_like_hdf5(part_.bytes) || looks_like_safetensors(part_.bytes));
  }

  void nothing() {
    out_.name_format(part_.bytes.empty() ? "empty" : "zeros");
    if (place_ != Place::File) return;
    if (part_.bytes.empty() && part_.depth == 0 && may_be_empty(out_.file())) return out_.note("the file is empty");
    out_.add(ScanVerdict::Malformed, "no-content", part_, 0,
             part_.bytes.empty() ? "the file is empty" : "the file holds zeros");
  }

  bool scan_known() {
    if (formats::looks_like_torch_legacy(part_.bytes)) return scan_torch_legacy(part_, out_), true;
    if (looks_like_npy(part_.bytes)) return scan_npy(part_, out_), true;
    if (text_.starts_with("GGUF")) return scan_headed(scan_gguf), true;
    if (looks_like_hdf5(part_.bytes)) return scan_hdf5_file(), true;
    if (text_.starts_with("\x1f\x8b")) return scan_wrapped(Wrapping::Gzip, "gzip", 0), true;
    if (is_zfile(text_)) return scan_wrapped(Wrapping::Zlib, "zlib", kZFileHeader), true;
    if (looks_like_safetensors(part_.bytes) && begins_like_pickle(text_)) {  // a length of 128 begins like PROTO
      scan_safetensors(part_, out_);
      scan_pickles(part_, Start::Stray, {}, out_);
      return true;
    }
    if (begins_like_pickle(text_) && !is_whole_msgpack(part_.bytes, out_.limits()))
      return scan_pickle_file(Start::Certain), true;
    if (looks_like_any_tar(part_.bytes)) return scan_headed(scan_tar), true;
    if (is_zlib(text_) && scan_zlib()) return true;
    for (const Magic& magic : kClosed)
      if (text_.starts_with(magic.bytes) && !looks_like_text(text_)) return scan_closed(magic.name), true;
    if (looks_like_safetensors(part_.bytes)) return scan_headed(scan_safetensors), true;
    if (looks_like_text(text_)) return scan_text(part_, out_), true;
    if (looks_like_onnx(part_.bytes)) return scan_onnx(part_, out_), true;
    return false;
  }

  void scan_pickle_file(Start start) {
    out_.name_format("pickle");
    scan_pickles(part_, start, {}, out_);
  }

  /// A format's mark may be opcodes to a loader of pickles: `G` of GGUF, the first entry's name of a tar.
  void scan_headed(void (*scan_format)(const Part&, Collector&)) {
    scan_head(part_, out_);
    scan_format(part_, out_);
  }

  void scan_hdf5_file() {
    if (begins_like_pickle(text_)) scan_pickles(part_, Start::Stray, {}, out_);
    scan_headed(scan_hdf5);
  }

  bool scan_zlib() {
    const Unpacked head = unpack(part_.bytes, Wrapping::Zlib, {&Limits::scan_unpacked_bytes, 1 << 10}, out_);
    if (head.end == UnpackEnd::Damaged && head.bytes.size() < 16) return false;
    scan_head(part_, out_);
    scan_wrapped(Wrapping::Zlib, "zlib", 0);
    return true;
  }

  void scan_wrapped(Wrapping wrapping, std::string_view name, std::uint64_t begin) {
    out_.name_format(name);
    if (part_.depth >= out_.limits().scan_depth)
      return out_.add_limit(ScanVerdict::Malformed, &Limits::scan_depth, "it is wrapped too often", part_);
    const Unpacked found =
        unpack(part_.bytes.subspan(begin), wrapping, {&Limits::scan_unpacked_bytes, out_.limits()}, out_);
    if (found.limit != nullptr)
      out_.add_limit(ScanVerdict::Malformed, found.limit, "it unpacks to more than the scan allows", part_, begin);
    if (found.end == UnpackEnd::Damaged)
      out_.add(ScanVerdict::Malformed, "unpack-damaged", part_, begin, "the packed stream is damaged or cut");
    const std::uint64_t end = begin + found.read_bytes;
    if (found.end == UnpackEnd::Whole && end < part_.bytes.size() && !is_zeros(part_.bytes.subspan(end))) {
      out_.add_unexplained(part_, end, part_.bytes.size() - end);
      out_.add(ScanVerdict::UnknownCode, "trailing-bytes", part_, end, "bytes follow the packed stream");
      scan_strays(part_.from(end), out_);
    }
    scan_content(part_.inside(found.bytes, std::string(name)), place_, out_);
  }

  void scan_closed(std::string_view name) {
    out_.name_format(name);
    out_.add(ScanVerdict::UnknownCode, "cannot-look-inside", part_, 0,
             "cannot look inside " + std::string(name) + ": unpack it, then scan what was in it");
    scan_head(part_, out_);
    scan_strays(part_, out_);
  }

  void scan_unknown() {
    if (is_whole_msgpack(part_.bytes, out_.limits())) {
      scan_head(part_, out_);
      return out_.name_format("msgpack");
    }
    if (scan_pickles(part_, Start::Likely, {}, out_)) return out_.name_format("pickle");
    for (const Magic& magic : kInert)
      if (text_.starts_with(magic.bytes)) return out_.name_format(magic.name);
    if (is_tensor_bundle(part_.bytes)) return out_.name_format("TensorFlow index");
    if (formats::looks_like_torchsharp(part_.bytes)) return out_.name_format("TorchSharp file");
    out_.name_format("unknown");
    if (place_ == Place::File)
      out_.add(ScanVerdict::UnknownCode, "unknown-format", part_, 0,
               "no format of checkpoints begins like this, so that nothing can be said of its bytes");
    scan_strays(part_, out_);
  }

  const Part& part_;
  Place place_;
  Collector& out_;
  std::string_view text_;
};

}  // namespace

void scan_content(const Part& part, Place place, Collector& out) {
  if (part.depth > out.limits().scan_depth)
    return out.add_limit(ScanVerdict::Malformed, &Limits::scan_depth, "parts are nested too deeply", part);
  try {
    Content(part, place, out).scan();
  } catch (const Error& error) {  // a contradiction that no reader has told in its own words
    out.add(error, "malformed", part);
  }
}

}  // namespace tenon::scanning
