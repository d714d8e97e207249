// TensorProto
//
//   1 dims       2 data_type   3 segment      8 name        9 raw_data: little-endian, row-major, packed elements least
//   4 float_data 5 int32_data  6 string_data  7 int64_data    first, the last byte filled up
//   10 double_data   11 uint64_data           13 external_data: {1 key, 2 value}...   14 data_location: 1 is external
//
// Types below 32 bits, float16 and bfloat16 included, stand in int32_data, one element each, packed ones as many as
// fill a byte; complex ones in float_data and double_data by turns. Repeated numbers may be packed (wire type 2) or
// not. Source: onnx/onnx.proto of the ONNX project, TensorProto.
#include "formats/onnx_tensor.hpp"

#include <algorithm>
#include <charconv>
#include <map>

#include "base/checked.hpp"
#include "base/limit_error.hpp"
#include "base/moved_error.hpp"
#include "base/text.hpp"
#include "base/utf8.hpp"

namespace tenon::formats {

namespace {

using container::WireField;
using container::WireReader;
using container::WireType;

enum Field : std::uint32_t {
  kDims = 1,
  kDataType = 2,
  kSegment = 3,
  kFloatData = 4,
  kInt32Data = 5,
  kStringData = 6,
  kInt64Data = 7,
  kName = 8,
  kRawData = 9,
  kDoubleData = 10,
  kUint64Data = 11,
  kExternalData = 13,
  kDataLocation = 14,
};

struct ElementType {
  int code;
  DType dtype;
  std::uint32_t field;
  int packed_bits = 0;      ///< of one element where several stand in a byte that tenon has no type for
  bool is_complex = false;  ///< two numbers for each element
};
constexpr ElementType kTypes[] = {
    {1, DType::Float32, kFloatData},
    {2, DType::UInt8, kInt32Data},
    {3, DType::Int8, kInt32Data},
    {4, DType::UInt16, kInt32Data},
    {5, DType::Int16, kInt32Data},
    {6, DType::Int32, kInt32Data},
    {7, DType::Int64, kInt64Data},
    {8, DType::String, kStringData},
    {9, DType::Bool, kInt32Data},
    {10, DType::Float16, kInt32Data},
    {11, DType::Float64, kDoubleData},
    {12, DType::UInt32, kUint64Data},
    {13, DType::UInt64, kUint64Data},
    {14, DType::Complex64, kFloatData, 0, true},
    {15, DType::Complex128, kDoubleData, 0, true},
    {16, DType::BFloat16, kInt32Data},
    {17, DType::Float8E4M3FN, kInt32Data},
    {18, DType::Float8E4M3FNUZ, kInt32Data},
    {19, DType::Float8E5M2, kInt32Data},
    {20, DType::Float8E5M2FNUZ, kInt32Data},
    {21, DType::UInt4, kInt32Data, 4},
    {22, DType::Int4, kInt32Data, 4},
    {23, DType::F4, kInt32Data},
    {24, DType::Float8E8M0FNU, kInt32Data},
    {25, DType::UInt2, kInt32Data, 2},
    {26, DType::Int2, kInt32Data, 2},
};

const ElementType* find_type(std::uint64_t code) {
  const auto found = std::find_if(std::begin(kTypes), std::end(kTypes), [&](const ElementType& type) {
    return static_cast<std::uint64_t>(type.code) == code;
  });
  return found == std::end(kTypes) ? nullptr : found;
}

/// Bytes of the raw form.
std::uint64_t raw_bytes_of(const ElementType& type, const Shape& shape) {
  if (type.packed_bits == 0) return byte_size(shape, type.dtype);
  const auto count = static_cast<std::uint64_t>(element_count(shape));
  const auto in_a_byte = static_cast<std::uint64_t>(8 / type.packed_bits);
  return count / in_a_byte + (count % in_a_byte != 0 ? 1 : 0);
}

/// Numbers that the typed field holds. At most twice the elements, so it cannot overflow 64 bits.
std::uint64_t typed_count_of(const ElementType& type, const Shape& shape) {
  const auto count = static_cast<std::uint64_t>(element_count(shape));
  if (type.is_complex) return 2 * count;
  return type.packed_bits != 0 || type.dtype == DType::F4 ? raw_bytes_of(type, shape) : count;
}

/// What the fields said, before it is known whether it fits together.
struct Parts {
  Shape dims;
  std::uint64_t type_code = 0, location = 0;
  std::optional<WireField> raw;
  std::map<std::uint32_t, std::uint64_t> counts;         ///< numbers in each typed field
  std::map<std::uint32_t, std::vector<WireField>> runs;  ///< at most two of each: one run may be taken as it is
  std::map<std::string, std::string, std::less<>> external;
  bool has_segment = false;
};

class TensorReader {
 public:
  explicit TensorReader(const OnnxMessage& message) : message_(message), in_(message.reader()) {}

  OnnxTensor read() {
    while (const auto field = in_.next()) take(*field);
    if (parts_.has_segment) throw error(message_.at, Code::Unsupported, "the tensor is one segment of several", {}, {});
    const ElementType* type = find_type(parts_.type_code);
    if (type == nullptr)
      throw error(message_.at, Code::Unsupported, "the tensor has an unknown element type", "1 to 26",
                  std::to_string(parts_.type_code));
    tensor_.shape = std::move(parts_.dims);
    tensor_.dtype = type->dtype;
    tensor_.code = type->code;
    try {
      tensor_.raw_bytes = raw_bytes_of(*type, tensor_.shape);
      (void)byte_size(tensor_.shape, type->is_complex ? DType::Complex128 : type->dtype);
    } catch (const Error& overflow) {
      throw error(message_.at, Code::Corrupt, overflow.what_happened, overflow.expected, overflow.found);
    }
    find_elements(*type);
    return std::move(tensor_);
  }

 private:
  Error error(std::uint64_t at, Code code, std::string what, std::string expected, std::string found) const {
    Error located = in_.error(at, code, std::move(what), std::move(expected), std::move(found));
    return base::moved_error(located, {located.where.file, {}, tensor_.name, located.where.byte});
  }

  void require(const WireField& field, WireType type) const {
    if (field.type != type)
      throw error(field.at, Code::Corrupt, "a field of the tensor has another wire type than its number says",
                  std::to_string(static_cast<int>(type)), std::to_string(static_cast<int>(field.type)));
  }

  void take(const WireField& field) {
    switch (field.number) {
      case kDims: return take_dims(field);
      case kDataType:
        require(field, WireType::Varint);
        parts_.type_code = field.value;
        return;
      case kSegment: parts_.has_segment = true; return;
      case kName:
        require(field, WireType::Bytes);
        tensor_.name = base::to_valid_utf8(field.text());
        return;
      case kRawData:
        require(field, WireType::Bytes);
        parts_.raw = field;
        return;
      case kFloatData:
      case kInt32Data:
      case kStringData:
      case kInt64Data:
      case kDoubleData:
      case kUint64Data: return take_typed(field);
      case kExternalData: require(field, WireType::Bytes); return take_external(field);
      case kDataLocation:
        require(field, WireType::Varint);
        parts_.location = field.value;
        return;
      default: return;
    }
  }

  void take_dims(const WireField& field) {
    if (field.type == WireType::Varint) return add_extent(field.value, field.at);
    require(field, WireType::Bytes);
    WireReader packed(field.bytes, message_.file, field.bytes_at, message_.limits);
    while (!packed.at_end()) add_extent(packed.varint(), field.at);
  }

  void add_extent(std::uint64_t extent, std::uint64_t at) {
    if (parts_.dims.size() >= message_.limits.tensor_rank)
      throw base::limit_error(error(at, Code::Limit, {}, {}, {}).where, "the tensor has too many axes",
                              {&Limits::tensor_rank, message_.limits});
    if (static_cast<std::int64_t>(extent) < 0)
      throw error(at, Code::Corrupt, "an extent of the tensor is negative", "0 or more",
                  std::to_string(static_cast<std::int64_t>(extent)));
    parts_.dims.push_back(static_cast<std::int64_t>(extent));
  }

  void take_typed(const WireField& field) {
    parts_.counts[field.number] += count_of(field);
    auto& runs = parts_.runs[field.number];
    if (runs.size() < 2) runs.push_back(field);
  }

  /// Numbers in one run of a typed field.
  std::uint64_t count_of(const WireField& field) const {
    const bool is_wide = field.number == kDoubleData;
    const bool is_fixed = is_wide || field.number == kFloatData;
    if (field.number == kStringData) return require(field, WireType::Bytes), 1;
    if (field.type != WireType::Bytes) {
      require(field, is_wide ? WireType::Fixed64 : is_fixed ? WireType::Fixed32 : WireType::Varint);
      return 1;
    }
    if (!is_fixed) return count_varints(field);
    const std::uint64_t width = is_wide ? 8 : 4;
    if (field.bytes.size() % width != 0)
      throw error(field.at, Code::Corrupt, "packed numbers of the tensor are cut short",
                  "a multiple of " + base::plural(width, "byte"), base::plural(field.bytes.size(), "byte"));
    return field.bytes.size() / width;
  }

  std::uint64_t count_varints(const WireField& field) const {
    std::uint64_t count = 0;
    std::size_t length = 0;
    for (const std::byte byte : field.bytes) {
      ++length;
      const bool ends = std::to_integer<int>(byte) < 0x80;
      if (ends ? length > 10 : length >= 10) break;
      if (ends) ++count, length = 0;
    }
    if (length != 0) throw error(field.at, Code::Corrupt, "packed numbers of the tensor are damaged", {}, {});
    return count;
  }

  void take_external(const WireField& field) {
    WireReader entry(field.bytes, message_.file, field.bytes_at, message_.limits);
    std::string key, value;
    while (const auto part = entry.next()) {
      if (part->type != WireType::Bytes) continue;
      if (part->number == 1) key = part->text();
      if (part->number == 2) value = part->text();
    }
    if (!parts_.external.emplace(std::move(key), std::move(value)).second)
      throw error(field.at, Code::Corrupt, "an entry of the tensor's external data stands twice", {}, {});
  }

  void find_elements(const ElementType& type) {
    const bool is_external = parts_.location == 1;
    const bool is_raw = parts_.raw && !parts_.raw->bytes.empty();
    const std::uint64_t typed = parts_.counts[type.field];
    if ((is_external && (is_raw || typed > 0)) || (is_raw && typed > 0))
      throw error(message_.at, Code::Corrupt, "the tensor holds its elements in two places", "one", {});
    if (type.dtype == DType::String) return require_count(typed, typed_count_of(type, tensor_.shape), "text");
    if (is_external) return read_external();
    if (is_raw) return take_raw(type);
    if (element_count(tensor_.shape) == 0 && typed == 0) return;
    require_count(typed, typed_count_of(type, tensor_.shape), "number");
    take_typed_elements(type);
  }

  void require_count(std::uint64_t found, std::uint64_t wanted, std::string_view noun) const {
    if (found != wanted)
      throw error(message_.at, Code::Corrupt, "the tensor holds another number of elements than its shape says",
                  base::plural(wanted, noun), base::plural(found, noun));
  }

  void take_raw(const ElementType& type) {
    if (parts_.raw->bytes.size() != tensor_.raw_bytes)
      throw error(parts_.raw->at, Code::Corrupt, "the tensor's raw data are not as long as its shape says",
                  base::plural(tensor_.raw_bytes, "byte"), base::plural(parts_.raw->bytes.size(), "byte"));
    tensor_.bytes = parts_.raw->bytes;
    tensor_.bytes_at = parts_.raw->bytes_at;
    tensor_.home = type.packed_bits == 0 ? OnnxTensor::Home::Plain : OnnxTensor::Home::Encoded;
    tensor_.encoded_field = 0;
  }

  /// One packed run of floats is the elements as they are; everything else is decoded when it is asked for.
  void take_typed_elements(const ElementType& type) {
    const auto& runs = parts_.runs[type.field];
    const bool is_fixed = type.field == kFloatData || type.field == kDoubleData;
    if (is_fixed && runs.size() == 1 && runs.front().type == WireType::Bytes) {
      tensor_.home = OnnxTensor::Home::Plain;
      tensor_.bytes = runs.front().bytes;
      tensor_.bytes_at = runs.front().bytes_at;
      return;
    }
    tensor_.home = OnnxTensor::Home::Encoded;
    tensor_.bytes = message_.bytes;
    tensor_.bytes_at = message_.at;
    tensor_.encoded_field = static_cast<int>(type.field);
  }

  void read_external() {
    tensor_.home = OnnxTensor::Home::External;
    const auto location = parts_.external.find("location");
    if (location == parts_.external.end() || location->second.empty())
      throw error(message_.at, Code::Corrupt, "the tensor's elements are in another file, which has no name", {}, {});
    tensor_.external.location = location->second;
    tensor_.external.offset = number_of("offset").value_or(0);
    tensor_.external.length = number_of("length");
    if (tensor_.external.length && *tensor_.external.length != tensor_.raw_bytes)
      throw error(message_.at, Code::Corrupt, "the tensor's external data are not as long as its shape says",
                  base::plural(tensor_.raw_bytes, "byte"), base::plural(*tensor_.external.length, "byte"));
  }

  std::optional<std::uint64_t> number_of(std::string_view key) const {
    const auto entry = parts_.external.find(key);
    if (entry == parts_.external.end()) return std::nullopt;
    const std::string& text = entry->second;
    std::uint64_t number = 0;
    const auto [end, failed] = std::from_chars(text.data(), text.data() + text.size(), number);
    if (text.empty() || failed != std::errc{} || end != text.data() + text.size())
      throw error(message_.at, Code::Corrupt, "the " + std::string(key) + " of the external data is no number",
                  "digits", "`" + base::escape_for_terminal(std::string_view(text).substr(0, 40)) + "`");
    return number;
  }

  const OnnxMessage& message_;
  WireReader in_;
  OnnxTensor tensor_;
  Parts parts_;
};

/// Packed elements, least bits first, each into a byte of its own; signed ones keep their sign.
std::vector<std::byte> unpack(std::span<const std::byte> packed, const ElementType& type, std::uint64_t count) {
  const bool is_signed = type.dtype == DType::Int4 || type.dtype == DType::Int2;
  const auto bits = static_cast<unsigned>(type.packed_bits);
  const unsigned in_a_byte = 8 / bits, most = 1U << bits;
  std::vector<std::byte> out(count);
  for (std::uint64_t i = 0; i < count; ++i) {
    const auto byte = std::to_integer<unsigned>(packed[i / in_a_byte]);
    const unsigned element = byte >> (i % in_a_byte * bits) & (most - 1);
    out[i] = static_cast<std::byte>(is_signed && element >= most / 2 ? element | ~(most - 1) : element);
  }
  return out;
}

void append_number(std::vector<std::byte>& out, std::uint64_t number, std::uint64_t width) {
  for (std::uint64_t i = 0; i < width; ++i) out.push_back(static_cast<std::byte>(number >> (8 * i)));
}

/// Every number of the typed field `number`, cut to `width` bytes.
std::vector<std::byte> typed_numbers(std::span<const std::byte> message, std::uint32_t number, std::uint64_t width) {
  const Limits limits;
  const std::string file;
  std::vector<std::byte> out;
  WireReader in(message, file, 0, limits);
  const bool is_fixed = number == kFloatData || number == kDoubleData;
  while (const auto field = in.next()) {
    if (field->number != number) continue;
    if (field->type != WireType::Bytes) {
      append_number(out, field->value, width);
    } else if (is_fixed) {
      out.insert(out.end(), field->bytes.begin(), field->bytes.end());
    } else {
      WireReader packed(field->bytes, file, 0, limits);
      while (!packed.at_end()) append_number(out, packed.varint(), width);
    }
  }
  return out;
}

}  // namespace

OnnxTensor read_onnx_tensor(const OnnxMessage& message) { return TensorReader(message).read(); }

bool is_packed_onnx(int code) {
  const ElementType* type = find_type(static_cast<std::uint64_t>(code));
  return type != nullptr && type->packed_bits != 0;
}

std::vector<std::byte> decode_onnx(std::span<const std::byte> bytes, int code, int encoded_field,
                                   std::uint64_t element_count) {
  const ElementType* type = find_type(static_cast<std::uint64_t>(code));
  TENON_ASSERT(type != nullptr);
  if (encoded_field == 0) return unpack(bytes, *type, element_count);
  const std::uint64_t width = type->field == kFloatData    ? 4
                              : type->field == kDoubleData ? 8
                              : type->packed_bits != 0
                                  ? 1
                                  : static_cast<std::uint64_t>(std::max<std::int64_t>(dtype_bytes(type->dtype), 1));
  std::vector<std::byte> numbers = typed_numbers(bytes, static_cast<std::uint32_t>(encoded_field), width);
  if (type->packed_bits != 0) return unpack(numbers, *type, element_count);
  return numbers;
}

}  // namespace tenon::formats
