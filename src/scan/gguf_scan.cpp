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
#include "base/limit_error.hpp"
#include "formats/gguf_fields.hpp"
#include "scan/preview.hpp"
#include "scan/text_scan.hpp"

namespace tenon::scanning {

namespace {

using formats::GgufValueType;

class Walk {
 public:
  Walk(const Part& part, Collector& out)
      : part_(part), out_(out), fields_(base::Cursor(part.bytes, out.file(), part.member, part.origin)) {}

  void run() {
    // Least bytes: of a tensor's info without extents, of a pair with a value of one byte.
    const Limits& limits = out_.limits();
    const std::uint64_t tensors =
        fields_.count_of("tensors", fields_.count_bytes() + 16, {&Limits::gguf_tensors, limits});
    const std::uint64_t pairs =
        fields_.count_of("metadata", fields_.count_bytes() + 5, {&Limits::gguf_metadata, limits});
    for (std::uint64_t i = 0; i < pairs; ++i) read_pair();
    for (std::uint64_t i = 0; i < tensors; ++i) read_tensor();
    check_ranges();
    out_.budget().scanned_bytes += fields_.in().position();
  }

 private:
  struct Range {
    std::uint64_t begin = 0;
    std::optional<std::uint64_t> bytes;  ///< of a known type
    std::string name;
  };

  void require(bool holds, std::string what) const {
    if (!holds) throw fields_.in().error(Code::Corrupt, std::move(what));
  }

  GgufValueType value_type(std::string_view field) {
    const std::uint32_t type = fields_.u32(field);
    require(type < formats::kGgufValueTypes, "the " + std::string(field) + " is unknown: " + std::to_string(type));
    return static_cast<GgufValueType>(type);
  }

  void read_pair() {
    const std::string_view key = fields_.text("key");
    require(keys_.insert(std::string(key)).second, "a key stands twice: " + preview(key));
    const std::uint64_t at = fields_.in().position();
    const GgufValueType type = value_type("type of a value");
    if (type == GgufValueType::String) return read_text(key, at);
    if (key == "general.alignment" && type == GgufValueType::U32) {
      alignment_ = fields_.u32("alignment");
      return require(std::has_single_bit(alignment_) && alignment_ >= 8, "the alignment is no power of two");
    }
    skip_value(type, 0, key);
  }

  void read_text(std::string_view key, std::uint64_t at) {
    const std::string_view text = fields_.text("string");
    if (key.find("chat_template") == std::string_view::npos) return;
    check_template(text, part_, at, out_);
  }

  void skip_value(GgufValueType type, std::uint64_t depth, std::string_view key) {
    if (type == GgufValueType::String)
      read_text(key, fields_.in().position());
    else if (type == GgufValueType::Array)
      skip_array(depth, key);
    else
      fields_.in().skip(formats::gguf_value_bytes(type), "a value");
  }

  void skip_array(std::uint64_t depth, std::string_view key) {
    if (depth >= out_.limits().gguf_array_depth)
      throw base::limit_error(fields_.in().where(fields_.in().position()), "arrays are nested too deeply",
                              {&Limits::gguf_array_depth, out_.limits()});
    const GgufValueType type = value_type("type of an array's elements");
    const std::uint64_t elements = fields_.count("the length of an array");
    const std::uint64_t bytes = formats::gguf_value_bytes(type);
    require(elements <= fields_.in().remaining() / (bytes > 0 ? bytes : 4), "an array is longer than the file");
    if (bytes > 0) return fields_.in().skip(bytes * elements, "an array");
    for (std::uint64_t i = 0; i < elements; ++i) skip_value(type, depth + 1, key);
  }

  void read_tensor() {
    Range range;
    range.name = fields_.text("tensor name");
    require(names_.insert(range.name).second, "a tensor's name stands twice: " + preview(range.name));
    const std::uint32_t rank = fields_.u32("rank");
    require(rank <= 8, "a tensor has too many axes");
    std::optional<std::uint64_t> elements = 1;
    std::uint64_t first = 1;
    for (std::uint32_t i = 0; i < rank; ++i) {
      const std::uint64_t extent = fields_.count("extent");
      if (i == 0) first = extent;
      elements = elements ? base::checked_multiply(*elements, extent) : elements;
    }
    require(elements.has_value() && *elements <= INT64_MAX, "a tensor's shape overflows");
    const std::uint32_t type = fields_.u32("tensor type");
    require(formats::gguf_removed_type(type).empty(), "a tensor has a type that was removed");
    range.begin = fields_.u64("offset");
    if (const auto dtype = formats::gguf_dtype(type)) {
      const DTypeBlock block = dtype_block(*dtype);
      const auto width = static_cast<std::uint64_t>(block.elements);
      require(first % width == 0, "a tensor's rows fill no whole blocks");
      range.bytes = base::checked_multiply(*elements / width, static_cast<std::uint64_t>(block.bytes));
      require(range.bytes.has_value(), "a tensor's size overflows");
    }
    ranges_.push_back(std::move(range));
  }

  void check_ranges() {
    if (ranges_.empty()) return;
    const std::uint64_t begin = (fields_.in().position() + alignment_ - 1) / alignment_ * alignment_;
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
  formats::GgufFields fields_;
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
