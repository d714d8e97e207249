// GGUF: magic, version, counts, key/value pairs, tensor infos, padding, data.
// Source: ggml-org/ggml docs/gguf.md; ggml-org/llama.cpp gguf-py/gguf/constants.py for the blocks.
#include "scan/other_formats.hpp"

#include <algorithm>
#include <bit>
#include <optional>
#include <string>
#include <unordered_set>
#include <vector>

#include "base/checked.hpp"
#include "base/cursor.hpp"
#include "scan/preview.hpp"
#include "scan/text_scan.hpp"

namespace tenon::scanning {

namespace {

struct Block {
  std::uint32_t type, elements, bytes;
};
constexpr Block kBlocks[] = {
    {0, 1, 4},      {1, 1, 2},     {2, 32, 18},    {3, 32, 20},    {6, 32, 22},    {7, 32, 24},    {8, 32, 34},
    {9, 32, 40},    {10, 256, 84}, {11, 256, 110}, {12, 256, 144}, {13, 256, 176}, {14, 256, 210}, {15, 256, 292},
    {16, 256, 66},  {17, 256, 74}, {18, 256, 98},  {19, 256, 50},  {20, 32, 18},   {21, 256, 110}, {22, 256, 82},
    {23, 256, 136}, {24, 1, 1},    {25, 1, 2},     {26, 1, 4},     {27, 1, 8},     {28, 1, 8},     {29, 256, 56},
    {30, 1, 2},     {34, 256, 54}, {35, 256, 66},  {39, 32, 17},
};
constexpr std::uint32_t kRemoved[] = {4, 5, 31, 32, 33, 36, 37, 38};

/// Bytes of a value of a plain type; 0 for strings and arrays; nothing for an unknown type.
std::optional<std::uint64_t> value_bytes(std::uint32_t type) {
  constexpr std::uint8_t kBytes[] = {1, 1, 2, 2, 4, 4, 4, 1, 0, 0, 8, 8, 8};
  if (type >= std::size(kBytes)) return std::nullopt;
  return kBytes[type];
}
constexpr std::uint32_t kString = 8, kArray = 9, kUint32 = 4;

class Walk {
 public:
  Walk(const Part& part, Collector& out)
      : part_(part), out_(out), in_(part.bytes, out.file(), part.member, part.origin) {}

  void run() {
    in_.skip(4, "magic");
    read_version();
    const std::uint64_t tensors = count("tensor count"), pairs = count("key/value count");
    require(tensors <= in_.remaining() / 24 + 1, "the tensor count does not fit the file");
    require(pairs <= in_.remaining() / 8 + 1, "the key/value count does not fit the file");
    for (std::uint64_t i = 0; i < pairs; ++i) read_pair();
    for (std::uint64_t i = 0; i < tensors; ++i) read_tensor();
    check_ranges();
    out_.budget().scanned_bytes += in_.position();
  }

 private:
  struct Range {
    std::uint64_t begin = 0;
    std::optional<std::uint64_t> bytes;  ///< of a known type
    std::string name;
  };

  void require(bool holds, std::string what) const {
    if (!holds) throw in_.error(Code::Corrupt, std::move(what));
  }

  std::uint32_t u32(std::string_view field) {
    const std::uint32_t value = in_.u32(field);
    return big_endian_ ? __builtin_bswap32(value) : value;
  }
  std::uint64_t u64(std::string_view field) {
    const std::uint64_t value = in_.u64(field);
    return big_endian_ ? __builtin_bswap64(value) : value;
  }
  std::uint64_t count(std::string_view field) { return version_ == 1 ? u32(field) : u64(field); }

  void read_version() {
    version_ = in_.u32("version");
    if (version_ >= 0x01000000) {
      big_endian_ = true;
      version_ = __builtin_bswap32(version_);
    }
    require(version_ >= 1 && version_ <= 3, "the version is unknown: " + std::to_string(version_));
  }

  std::string_view string(std::string_view field) {
    const std::uint64_t bytes = count(field);
    return in_.text(bytes, field);
  }

  void read_pair() {
    const std::string_view key = string("key");
    require(keys_.insert(std::string(key)).second, "a key stands twice: " + preview(key));
    const std::uint64_t at = in_.position();
    const std::uint32_t type = u32("value type");
    if (type == kString) return read_text(key, at);
    if (key == "general.alignment" && type == kUint32) {
      alignment_ = u32("alignment");
      return require(std::has_single_bit(alignment_) && alignment_ >= 8, "the alignment is no power of two");
    }
    skip_value(type, 0);
  }

  void read_text(std::string_view key, std::uint64_t at) {
    const std::string_view text = string("string");
    if (key.find("chat_template") == std::string_view::npos) return;
    const std::string_view why = template_danger(text);
    if (why.empty()) return;
    ScanFinding finding;
    finding.rule = "chat-template";
    finding.verdict = ScanVerdict::Dangerous;
    finding.member = part_.member;
    finding.offset = part_.origin + at;
    finding.preview = preview(text);
    finding.why = std::string(why);
    out_.add(std::move(finding));
  }

  void skip_value(std::uint32_t type, int depth) {
    const auto bytes = value_bytes(type);
    require(bytes.has_value(), "a value's type is unknown: " + std::to_string(type));
    if (type == kString) {
      string("string");
    } else if (type == kArray) {
      skip_array(depth);
    } else {
      in_.skip(*bytes, "value");
    }
  }

  void skip_array(int depth) {
    require(depth < 8, "arrays are nested too deeply");
    const std::uint32_t type = u32("element type");
    const std::uint64_t elements = count("element count");
    const auto bytes = value_bytes(type);
    require(bytes.has_value(), "an element type is unknown: " + std::to_string(type));
    if (*bytes > 0) {
      const auto all = base::checked_multiply(*bytes, elements);
      require(all.has_value() && *all <= in_.remaining(), "an array is longer than the file");
      return in_.skip(*all, "array");
    }
    require(elements <= in_.remaining() / 4, "an array is longer than the file");
    for (std::uint64_t i = 0; i < elements; ++i) skip_value(type, depth + 1);
  }

  void read_tensor() {
    Range range;
    range.name = string("tensor name");
    require(names_.insert(range.name).second, "a tensor's name stands twice: " + preview(range.name));
    const std::uint32_t rank = u32("rank");
    require(rank <= 8, "a tensor has too many axes");
    std::optional<std::uint64_t> elements = 1;
    std::uint64_t first = 1;
    for (std::uint32_t i = 0; i < rank; ++i) {
      const std::uint64_t extent = count("extent");
      if (i == 0) first = extent;
      elements = elements ? base::checked_multiply(*elements, extent) : elements;
    }
    require(elements.has_value() && *elements <= INT64_MAX, "a tensor's shape overflows");
    const std::uint32_t type = u32("tensor type");
    require(std::find(std::begin(kRemoved), std::end(kRemoved), type) == std::end(kRemoved),
            "a tensor has a type that was removed");
    range.begin = u64("offset");
    for (const Block& block : kBlocks) {
      if (block.type != type) continue;
      require(first % block.elements == 0, "a tensor's rows fill no whole blocks");
      range.bytes = base::checked_multiply(*elements / block.elements, block.bytes);
      require(range.bytes.has_value(), "a tensor's size overflows");
    }
    ranges_.push_back(std::move(range));
  }

  void check_ranges() {
    if (ranges_.empty()) return;
    const std::uint64_t begin = (in_.position() + alignment_ - 1) / alignment_ * alignment_;
    require(begin <= part_.bytes.size(), "the file ends before its tensors");
    const std::uint64_t room = part_.bytes.size() - begin;
    std::sort(ranges_.begin(), ranges_.end(), [](const Range& a, const Range& b) { return a.begin < b.begin; });
    std::uint64_t end = 0;
    for (const Range& range : ranges_) {
      require(range.begin % alignment_ == 0, "a tensor's offset is not aligned: " + preview(range.name));
      require(range.begin >= end, "two tensors overlap: " + preview(range.name));
      require(range.begin <= room && range.bytes.value_or(0) <= room - range.begin,
              "a tensor reaches past the end of the file: " + preview(range.name));
      end = range.begin + range.bytes.value_or(0);
    }
  }

  const Part& part_;
  Collector& out_;
  base::Cursor in_;
  std::uint32_t version_ = 3;
  bool big_endian_ = false;
  std::uint32_t alignment_ = 32;
  std::unordered_set<std::string> keys_, names_;
  std::vector<Range> ranges_;
};

}  // namespace

void scan_gguf(const Part& part, Collector& out) {
  out.name_format("GGUF");
  try {
    Walk(part, out).run();
  } catch (const Error& error) {
    out.add(error, "gguf-malformed", part);
  }
}

}  // namespace tenon::scanning
