// GGUF
//
//   | "GGUF" | u32 version | tensor count | pair count | pairs | tensor infos | padding | data |
//
//   pair:        string key, u32 type, value
//   tensor info: string name, u32 rank, extents (innermost first), u32 type, u64 offset in the data
//   string:      length, bytes; array: u32 element type, count, elements, which may be arrays
//
// Counts, lengths and extents have 32 bits in version 1, then 64. Data begin at the next multiple of the alignment
// behind the infos, and so does each tensor. Big-endian files swap everything and have no mark but their version.
//
// Source: ggml, docs/gguf.md; gguf-py/gguf/constants.py (types). See docs/formats/gguf.md.
#include "formats/gguf.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <limits>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_set>
#include <utility>
#include <vector>

#include "base/checked.hpp"
#include "base/cursor.hpp"
#include "base/limit_error.hpp"
#include "base/text.hpp"
#include "base/utf8.hpp"
#include "formats/gguf_fields.hpp"
#include "formats/gguf_split.hpp"

namespace tenon::formats {

namespace {

constexpr std::string_view kMagic = "GGUF";
constexpr std::string_view kNext = "fetch the file again, or convert it again from its source";
constexpr std::uint64_t kMostNameBytes = 65'535;  ///< of keys and of tensors' names
constexpr std::uint32_t kMostDimensions = 4;
constexpr std::uint64_t kUsualAlignment = 32;

using Fields = GgufFields;
using ValueType = GgufValueType;

// ---- metadata

class MetadataReader {
 public:
  MetadataReader(Fields& fields, const Limits& limits) : fields_(fields), limits_(limits) {}

  std::vector<std::pair<std::string, std::string>> read(std::uint64_t count) {
    std::vector<std::pair<std::string, std::string>> pairs;
    std::unordered_set<std::string_view> keys;
    for (std::uint64_t i = 0; i < count; ++i) {
      key_at_ = fields_.in().position();
      key_ = fields_.text("a key");
      if (key_.size() > kMostNameBytes)
        throw error("the key is too long", base::plural(kMostNameBytes, "byte"), base::plural(key_.size(), "byte"));
      if (!keys.insert(key_).second) throw error("a key stands twice; readers disagree on which one counts");
      const ValueType type = value_type();
      if (key_ == "general.alignment") read_alignment(type);
      pairs.emplace_back(key_, key_ == "general.alignment" ? std::to_string(alignment_) : value(type, 0));
    }
    return pairs;
  }

  std::uint64_t alignment() const { return alignment_; }

 private:
  void read_alignment(ValueType type) {
    if (type != ValueType::U32)
      throw error("the alignment is of another type", "u32", std::string(gguf_type_name(type)));
    alignment_ = fields_.u32("the alignment");
    if (alignment_ < 8 || !std::has_single_bit(alignment_))
      throw error("the alignment is no power of two", "8, 16, 32, ...", std::to_string(alignment_));
  }

  ValueType value_type() {
    const std::uint32_t type = fields_.u32("the type of a value");
    if (type >= kGgufValueTypes)
      throw error("the type of the value is unknown", "0 to " + std::to_string(kGgufValueTypes - 1),
                  std::to_string(type));
    return static_cast<ValueType>(type);
  }

  std::string value(ValueType type, std::uint64_t depth) {
    switch (type) {
      case ValueType::U8: return std::to_string(fields_.in().u8("a value"));
      case ValueType::I8: return std::to_string(static_cast<std::int8_t>(fields_.in().u8("a value")));
      case ValueType::U16: return std::to_string(fields_.u16("a value"));
      case ValueType::I16: return std::to_string(static_cast<std::int16_t>(fields_.u16("a value")));
      case ValueType::U32: return std::to_string(fields_.u32("a value"));
      case ValueType::I32: return std::to_string(static_cast<std::int32_t>(fields_.u32("a value")));
      case ValueType::U64: return std::to_string(fields_.u64("a value"));
      case ValueType::I64: return std::to_string(static_cast<std::int64_t>(fields_.u64("a value")));
      case ValueType::F32: return fmt::format("{}", std::bit_cast<float>(fields_.u32("a value")));
      case ValueType::F64: return fmt::format("{}", std::bit_cast<double>(fields_.u64("a value")));
      case ValueType::Bool: return boolean();
      case ValueType::String: return std::string(fields_.text("a value"));
      case ValueType::Array: return array(depth);
    }
    throw Bug("a type of value without a reader");
  }

  std::string boolean() {
    const std::uint8_t byte = fields_.in().u8("a value");
    if (byte > 1) throw error("a truth value is neither 0 nor 1", "0 or 1", std::to_string(byte));
    return byte == 1 ? "true" : "false";
  }

  /// The first elements, and how many there are: a vocabulary has 100,000.
  std::string array(std::uint64_t depth) {
    if (depth >= limits_.gguf_array_depth)
      throw base::limit_error(where(), "arrays are nested too deeply", {&Limits::gguf_array_depth, limits_});
    constexpr std::uint64_t kShown = 4;
    constexpr std::size_t kShownBytes = 60;
    const ValueType type = value_type();
    const std::uint64_t width = gguf_value_bytes(type);
    const std::uint64_t least_bytes = width != 0                 ? width
                                      : type == ValueType::Array ? 4 + fields_.count_bytes()
                                                                 : fields_.count_bytes();
    const std::uint64_t count = elements(least_bytes);
    std::string shown = "[";
    for (std::uint64_t i = 0; i < count; ++i) {
      if (i == kShown && width != 0) {
        fields_.in().skip((count - i) * width, "an array");
        break;
      }
      std::string element = type == ValueType::String && i >= kShown ? (fields_.text("an element"), std::string())
                                                                     : value(type, depth + 1);
      if (i >= kShown) continue;
      if (element.size() > kShownBytes) element = element.substr(0, kShownBytes) + "...";
      shown += (i > 0 ? ", " : "") + (type == ValueType::String ? '"' + element + '"' : element);
    }
    if (count > kShown) shown += fmt::format(", ... ({} {} in all)", count, gguf_type_name(type));
    return shown + "]";
  }

  std::uint64_t elements(std::uint64_t least_bytes) {
    const std::uint64_t count = fields_.count("the length of an array");
    const std::uint64_t most = fields_.in().remaining() / least_bytes;
    if (count > most)
      throw error("the array is longer than the file", "at most " + base::count_text(most) + " elements",
                  base::count_text(count));
    return count;
  }

  Where where() const { return {fields_.in().file(), {}, std::string(key_), key_at_}; }
  Error error(std::string what, std::string expected = {}, std::string found = {}) const {
    return Error(Code::Corrupt, where(), std::move(what), std::move(expected), std::move(found), std::string(kNext));
  }

  Fields& fields_;
  const Limits& limits_;
  std::string_view key_;
  std::uint64_t key_at_ = 0;
  std::uint64_t alignment_ = kUsualAlignment;
};

// ---- tensors

/// One tensor info and its place in the data.
struct Entry {
  TensorInfo tensor;
  std::uint32_t type = 0;
  std::uint64_t info_byte = 0;  ///< in the file, for messages
  std::uint64_t offset = 0;     ///< in the data
  std::uint64_t nbytes = 0;
};

class EntryReader {
 public:
  EntryReader(Fields& fields, std::uint64_t alignment) : fields_(fields), alignment_(alignment) {}

  std::vector<Entry> read(std::uint64_t count) {
    std::vector<Entry> entries;
    std::unordered_set<std::string_view> names;
    for (std::uint64_t i = 0; i < count; ++i) {
      entry_ = {};
      entry_.info_byte = fields_.in().position();
      const std::string_view name = fields_.text("the name of a tensor");
      if (name.size() > kMostNameBytes)
        throw fields_.in().error_at(entry_.info_byte, Code::Corrupt, "the name of a tensor is too long",
                                    base::plural(kMostNameBytes, "byte"), base::plural(name.size(), "byte"));
      if (name.empty()) throw error("a tensor has no name");
      entry_.tensor.name = name;
      if (!names.insert(name).second) throw error("a name stands twice; readers disagree on which one counts");
      read_shape();
      read_type();
      read_offset();
      entries.push_back(std::move(entry_));
    }
    return entries;
  }

 private:
  void read_shape() {
    const std::uint32_t rank = fields_.u32("the number of dimensions");
    if (rank > kMostDimensions)
      throw error("the tensor has too many dimensions", "at most " + std::to_string(kMostDimensions),
                  std::to_string(rank));
    Shape& shape = entry_.tensor.shape;
    for (std::uint32_t i = 0; i < rank; ++i) {
      const std::uint64_t extent = fields_.count("an extent");
      if (extent > static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max()))
        throw error("an extent is too great", "fewer than 2^63", base::count_text(extent));
      shape.push_back(static_cast<std::int64_t>(extent));
    }
    std::reverse(shape.begin(), shape.end());  // the file has the innermost first
    entry_.tensor.stride = dense_stride(shape);
  }

  void read_type() {
    entry_.type = fields_.u32("the type of a tensor");
    if (const auto name = gguf_removed_type(entry_.type); !name.empty())
      throw error("the tensor is of a type that ggml has removed", "a type in use", std::string(name),
                  Code::Unsupported, "make the file again from its source, as Q4_0 or another type in use");
    entry_.tensor.dtype = gguf_dtype(entry_.type).value_or(DType::Unknown);
    const DType dtype = entry_.tensor.dtype;
    const DTypeBlock block = dtype_block(dtype);
    entry_.tensor.encoding.big_endian = fields_.big_endian() && (is_block_dtype(dtype) || dtype_bytes(dtype) > 1);
    const Shape& shape = entry_.tensor.shape;
    const std::int64_t row = shape.empty() ? 1 : shape.back();
    if (row % block.elements != 0)
      throw error("the rows of the tensor are no whole number of blocks",
                  "a multiple of " + std::to_string(block.elements), std::to_string(row));
    try {
      entry_.nbytes = byte_size(shape, dtype);
    } catch (const Error& overflow) {
      throw error(overflow.what_happened, overflow.expected, overflow.found);
    }
  }

  void read_offset() {
    entry_.offset = fields_.u64("the offset of a tensor");
    if (entry_.offset % alignment_ != 0)
      throw error("the offset of the tensor is not aligned", "a multiple of " + std::to_string(alignment_),
                  std::to_string(entry_.offset));
  }

  Error error(std::string what, std::string expected = {}, std::string found = {}, Code code = Code::Corrupt,
              std::string_view next = kNext) const {
    return Error(code, Where{fields_.in().file(), {}, entry_.tensor.name, entry_.info_byte}, std::move(what),
                 std::move(expected), std::move(found), std::string(next));
  }

  Fields& fields_;
  std::uint64_t alignment_;
  Entry entry_;
};

// ---- places

/// Checks that tensors lie within the data and do not overlap, and fills in the core's rows in the file's order.
class Placing {
 public:
  Placing(std::vector<Entry>& entries, std::uint64_t data_start, std::uint64_t alignment, CheckpointCore& core)
      : entries_(entries), data_start_(data_start), alignment_(alignment), core_(core) {
    data_bytes_ = core.file_bytes > data_start ? core.file_bytes - data_start : 0;
  }

  void run() {
    std::vector<Entry*> order;
    for (Entry& entry : entries_) order.push_back(&entry);
    std::stable_sort(order.begin(), order.end(), [](const Entry* a, const Entry* b) { return a->offset < b->offset; });
    for (std::size_t i = 0; i < order.size(); ++i) {
      const std::uint64_t next = i + 1 < order.size() ? order[i + 1]->offset : data_bytes_;
      place(*order[i], next);
    }
    const std::uint64_t end = aligned(end_).value_or(end_);
    if (data_bytes_ > end && !entries_.empty())
      core_.warnings.push_back(base::plural(data_bytes_ - end, "byte") + " follow the last tensor");
    if (holes_ > 0)
      core_.warnings.push_back(base::plural(holes_, "hole") + " in the data: bytes that belong to no tensor");
    for (Entry& entry : entries_) add_row(entry);
  }

 private:
  std::optional<std::uint64_t> aligned(std::uint64_t offset) const {
    const auto sum = base::checked_add(offset, alignment_ - 1);
    return sum ? std::optional(*sum / alignment_ * alignment_) : std::nullopt;
  }

  void place(Entry& entry, std::uint64_t next) {
    if (entry.tensor.dtype == DType::Unknown) {
      entry.nbytes = next > entry.offset ? next - entry.offset : 0;
      core_.warnings.push_back(
          fmt::format("`{}` is of ggml type {}, which is unknown: its size is taken from the next "
                      "tensor's offset",
                      base::escape_for_terminal(entry.tensor.name), entry.type));
    }
    const auto end = base::checked_add(entry.offset, entry.nbytes);
    if (entry.nbytes > 0 && (!end || *end > data_bytes_)) return leave_out(entry);
    if (entry.nbytes > 0 && entry.offset < end_)
      throw error(entry, "the tensor overlaps the one before it", "an offset from " + std::to_string(end_) + " on",
                  std::to_string(entry.offset));
    if (entry.nbytes > 0 && entry.offset > aligned(end_).value_or(end_)) ++holes_;
    if (entry.nbytes > 0) end_ = *end;
  }

  void leave_out(Entry& entry) {
    const Error outside = error(entry, "the file ends before the end of the tensor",
                                base::plural(entry.nbytes, "byte") + " from " + std::to_string(entry.offset) + " on",
                                base::plural(data_bytes_, "byte") + " of data");
    if (core_.salvage == Salvage::No) throw outside;
    core_.warnings.push_back(std::string("left out: ") + outside.what());
    left_out_.insert(&entry);
    end_ = data_bytes_;
  }

  void add_row(Entry& entry) {
    if (left_out_.contains(&entry)) return;
    TensorInfo& tensor = core_.tensors.emplace_back(std::move(entry.tensor));
    tensor.storage = static_cast<std::uint32_t>(core_.storages.size());
    core_.storages.push_back(
        {.id = std::to_string(tensor.storage), .member = {}, .nbytes = entry.nbytes, .device = {}});
    StorageBytes& place = core_.storage_bytes.emplace_back();
    place.offset = entry.nbytes > 0 ? data_start_ + entry.offset : 0;
    core_.check(tensor);
  }

  Error error(const Entry& entry, std::string what, std::string expected, std::string found) const {
    return Error(Code::Corrupt, Where{core_.file, {}, entry.tensor.name, entry.info_byte}, std::move(what),
                 std::move(expected), std::move(found), std::string(kNext));
  }

  std::vector<Entry>& entries_;
  std::uint64_t data_start_, alignment_, data_bytes_ = 0;
  std::uint64_t end_ = 0;  ///< of the tensors placed so far, in the data
  std::uint64_t holes_ = 0;
  std::unordered_set<const Entry*> left_out_;
  CheckpointCore& core_;
};

/// One file, whatever it is a part of.
std::shared_ptr<CheckpointCore> open_file(const OpenRequest& request) {
  const Limits& limits = request.options.limits;
  Fields fields(base::Cursor(request.file->bytes(), request.path));
  // Least bytes: of a tensor's info without extents, of a pair with a value of one byte.
  const std::uint64_t tensor_count =
      fields.count_of("tensors", fields.count_bytes() + 16, {&Limits::gguf_tensors, limits});
  const std::uint64_t pair_count =
      fields.count_of("metadata", fields.count_bytes() + 5, {&Limits::gguf_metadata, limits});

  auto core = std::make_shared<CheckpointCore>();
  core->file = request.path;
  core->format = Format::Gguf;
  core->format_version = std::to_string(fields.version()) + (fields.big_endian() ? " big-endian" : "");
  core->file_bytes = request.file->size();
  core->files = {request.file};
  core->salvage = request.options.salvage;
  core->limits = limits;
  MetadataReader metadata(fields, limits);
  core->metadata = metadata.read(pair_count);
  std::vector<Entry> entries = EntryReader(fields, metadata.alignment()).read(tensor_count);
  const std::uint64_t infos_end = fields.in().position();
  const std::uint64_t data_start = (infos_end + metadata.alignment() - 1) / metadata.alignment() * metadata.alignment();
  Placing(entries, data_start, metadata.alignment(), *core).run();
  core->containers.push_back(
      {.path = {}, .type = "dict", .parent = 0, .key = {}, .tensor_count = core->tensors.size()});
  return core;
}

}  // namespace

bool looks_like_gguf(std::span<const std::byte> bytes) {
  return base::as_text(bytes.first(std::min(bytes.size(), kMagic.size()))) == kMagic;
}

std::shared_ptr<CheckpointCore> open_gguf(const OpenRequest& request) {
  return join_gguf_parts(request, open_file(request), open_file);
}

}  // namespace tenon::formats
