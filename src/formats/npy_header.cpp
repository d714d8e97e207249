// NPY
//
//   0                 6       7       8                      8 + w           data
//   | 93 "NUMPY"      | major | minor | header length, w = 2 | header, '\n'  | elements |
//                                       (w = 4 from 2.0 on)
//
//   header: {'descr': '<f4', 'fortran_order': False, 'shape': (3, 4), }, padded with spaces so that the elements begin
//   at a multiple of 64 (16 before NumPy 1.14); Latin-1, from 3.0 on UTF-8.
//   descr: byte order `<` `>` `|` `=`, kind, bytes; or a list of fields (name, descr[, shape]). A name may be a pair
//   (title, name); a field without name and of kind V is padding.
//
// Source: "A simple file format for NumPy arrays" (NEP 1) and numpy/lib/format.py, descr_to_dtype for the fields.
#include "formats/npy_header.hpp"

#include <algorithm>
#include <charconv>
#include <optional>
#include <utility>

#include <tenon/error.hpp>

#include "base/checked.hpp"
#include "base/cursor.hpp"
#include "base/limit_error.hpp"
#include "base/text.hpp"
#include "base/utf8.hpp"
#include "container/pickle_text.hpp"
#include "formats/pickle_globals.hpp"
#include "formats/python_literal.hpp"

namespace tenon::formats {

namespace {

using base::Cursor;

constexpr std::uint64_t kStartBytes = 12;  // magic, version, the longer form of the length
constexpr std::string_view kNext = "the file is damaged or forged: fetch or save it again";

constexpr std::pair<DType, std::string_view> kDescrs[] = {
    {DType::Float16, "<f2"},     {DType::Float32, "<f4"}, {DType::Float64, "<f8"}, {DType::Complex64, "<c8"},
    {DType::Complex128, "<c16"}, {DType::Bool, "|b1"},    {DType::UInt8, "|u1"},   {DType::UInt16, "<u2"},
    {DType::UInt32, "<u4"},      {DType::UInt64, "<u8"},  {DType::Int8, "|i1"},    {DType::Int16, "<i2"},
    {DType::Int32, "<i4"},       {DType::Int64, "<i8"},
};

/// Reads `descr`: a type or a list of fields, into leaves with their places in one record.
class DescrReader {
 public:
  DescrReader(const Cursor& in, bool utf8, const Limits& limits) : in_(in), utf8_(utf8), limits_(limits) {}

  void read(const Literal& descr, NpyHeader& header) {
    header.item_bytes = type(descr, NpyField{});
    header.fields = std::move(fields_);
    header.holds_objects = holds_objects_;
    if (header.fields.empty() && !holds_objects_) throw wrong(descr, "the array has no field");
    refuse_duplicates(descr, header.fields);
  }

 private:
  Error wrong(const Literal& literal, std::string what, std::string expected = {}, std::string found = {}) const {
    return in_.error_at(literal.at, Code::Corrupt, std::move(what), std::move(expected), std::move(found),
                        std::string(kNext));
  }

  /// Adds the leaves of `descr` at `place` and returns the bytes of one of them.
  std::uint64_t type(const Literal& descr, NpyField place) {
    if (descr.is_text()) return simple(descr, std::move(place));
    if (descr.kind == Literal::Kind::List) return record(descr, place);
    // (descr, shape): a subarray without a name of its own
    if (descr.kind == Literal::Kind::Tuple && descr.items.size() == 2)
      return subarray(descr.items[0], descr.items[1], std::move(place));
    throw wrong(descr, "the element type is neither text nor a list of fields", "such as '<f4'");
  }

  std::uint64_t record(const Literal& descr, const NpyField& place) {
    std::uint64_t bytes = 0;
    for (const Literal& item : descr.items) {
      if (item.kind != Literal::Kind::Tuple || item.items.size() < 2 || item.items.size() > 3)
        throw wrong(item, "a field of the element type is malformed", "(name, type) or (name, type, shape)");
      const std::string name = field_name(item.items[0]);
      NpyField field = place;
      field.offset_bytes = sum(item, place.offset_bytes, bytes);
      const bool is_padding =
          name.empty() && item.items.size() == 2 && item.items[1].text.find('V') != std::string::npos;
      const std::size_t begin = fields_.size();
      field.name = place.name.empty() || name.empty() ? place.name + name : place.name + "." + name;
      if (field.name.size() > limits_.npy_name_bytes)
        throw base::limit_error(in_.where(item.at), "the name of a field is too long",
                                {&Limits::npy_name_bytes, limits_});
      const std::uint64_t width =
          item.items.size() == 3 ? subarray(item.items[1], item.items[2], field) : type(item.items[1], field);
      if (is_padding) fields_.resize(begin);
      bytes = sum(item, bytes, width);
    }
    return bytes;
  }

  std::uint64_t subarray(const Literal& descr, const Literal& shape, NpyField place) {
    Shape extents;
    if (shape.is_number()) extents = {shape.number};
    for (const Literal& item : shape.items) {
      if (!item.is_number()) throw wrong(item, "an extent of a field is no number");
      extents.push_back(item.number);
    }
    if (extents.size() + place.axes.size() > limits_.tensor_rank)
      throw base::limit_error(in_.where(shape.at), "a field has too many axes", {&Limits::tensor_rank, limits_});
    const std::size_t first_axis = place.axes.size(), begin = fields_.size();
    for (const std::int64_t extent : extents) {
      if (extent < 0) throw wrong(shape, "an extent of a field is negative", "0 or more");
      place.axes.push_back({extent, 0});
    }
    std::uint64_t step = type(descr, std::move(place));
    for (std::size_t axis = extents.size(); axis-- > 0;) {  // steps are known when the width is
      for (std::size_t i = begin; i < fields_.size(); ++i) fields_[i].axes[first_axis + axis].step_bytes = step;
      step = product(shape, step, static_cast<std::uint64_t>(extents[axis]));
    }
    return step;
  }

  std::string field_name(const Literal& name) const {
    const bool has_title = name.kind == Literal::Kind::Tuple && name.items.size() == 2;
    const Literal& own = has_title ? name.items[1] : name;
    if (!own.is_text()) throw wrong(name, "the name of a field is no text");
    if (!utf8_) return container::utf8_of_latin1(own.text);
    if (!base::is_utf8(own.text)) throw wrong(name, "the name of a field is not UTF-8");
    return own.text;
  }

  /// One type string. Returns its bytes.
  std::uint64_t simple(const Literal& descr, NpyField field) {
    std::string_view code = descr.text;
    if (!code.empty() && std::string_view("<>|=").find(code[0]) != std::string_view::npos) {
      field.big_endian = code[0] == '>';
      code.remove_prefix(1);
    }
    if (code.empty()) throw wrong(descr, "the element type is empty", "such as '<f4'");
    if (const auto dtype = numpy_dtype(code)) return plain(std::move(field), *dtype, {});
    const std::uint64_t count = count_of(descr, code);
    switch (code[0]) {
      case 'O': holds_objects_ = true; return sizeof(std::uint64_t);
      case 'M': return plain(std::move(field), DType::Int64, "datetime64" + unit_of(code));
      case 'm': return plain(std::move(field), DType::Int64, "timedelta64" + unit_of(code));
      case 'S':
      case 'a': return text(std::move(field), count);
      case 'U': return text(std::move(field), product(descr, count, 4));
      case 'V':  // ml_dtypes registers bfloat16 as a void type of two bytes, and NumPy writes it so
        if (count == 2) return plain(std::move(field), DType::BFloat16, {});
        return raw(std::move(field), count, "void");
      case 'f': return raw(std::move(field), count, "float");
      case 'c': return raw(std::move(field), count, "complex");
      default:
        throw in_.error_at(descr.at, Code::Unsupported, "the element type is not known", "such as '<f4'",
                           "`" + base::escape_for_terminal(std::string_view(descr.text).substr(0, 40)) + "`",
                           "save the array with another type");
    }
  }

  /// The number behind a kind: bytes, for text characters.
  std::uint64_t count_of(const Literal& descr, std::string_view code) const {
    std::uint64_t count = 0;
    const std::string_view digits = code.substr(1, code.find('[') - 1);
    const auto [end, failed] = std::from_chars(digits.data(), digits.data() + digits.size(), count);
    const bool none = digits.empty();
    if (!none && (failed != std::errc{} || end != digits.data() + digits.size()))
      throw wrong(descr, "the width of the element type is no number");
    if (none && (code[0] == 'f' || code[0] == 'c')) return sizeof(double) * (code[0] == 'c' ? 2 : 1);
    return count;
  }

  static std::string unit_of(std::string_view code) {
    const std::size_t bracket = code.find('[');
    return bracket == std::string_view::npos ? std::string() : std::string(code.substr(bracket, 20));
  }

  std::uint64_t plain(NpyField field, DType dtype, std::string type) {
    field.dtype = dtype;
    field.type = std::move(type);
    field.big_endian = field.big_endian && dtype_bytes(dtype) > 1;
    fields_.push_back(std::move(field));
    return static_cast<std::uint64_t>(dtype_bytes(dtype));
  }

  std::uint64_t text(NpyField field, std::uint64_t bytes) {
    field.dtype = DType::String;
    fields_.push_back(std::move(field));
    return bytes;
  }

  /// Elements without a type of tenon's: their bytes, on an axis of their own.
  std::uint64_t raw(NpyField field, std::uint64_t bytes, std::string_view kind) {
    const std::uint64_t bits = kind == "void" ? bytes : bytes * 8;
    field.type = std::string(kind) + std::to_string(bits);
    field.dtype = DType::UInt8;
    field.big_endian = false;
    if (bytes > INT64_MAX) throw in_.error(Code::Corrupt, "the width of the element type passes 2^63 bytes");
    if (bytes != 1) field.axes.push_back({static_cast<std::int64_t>(bytes), 1});
    fields_.push_back(std::move(field));
    return bytes;
  }

  std::uint64_t sum(const Literal& at, std::uint64_t a, std::uint64_t b) const {
    const auto total = base::checked_add(a, b);
    if (!total) throw wrong(at, "the record passes 2^64 bytes");
    return *total;
  }
  std::uint64_t product(const Literal& at, std::uint64_t a, std::uint64_t b) const {
    const auto total = base::checked_multiply(a, b);
    if (!total) throw wrong(at, "the record passes 2^64 bytes");
    return *total;
  }

  void refuse_duplicates(const Literal& descr, const std::vector<NpyField>& fields) const {
    std::vector<std::string_view> names;
    for (const NpyField& field : fields) names.push_back(field.name);
    std::sort(names.begin(), names.end());
    if (std::adjacent_find(names.begin(), names.end()) != names.end())
      throw wrong(descr, "two fields have one name", "each name once");
  }

  const Cursor& in_;
  bool utf8_;
  const Limits& limits_;
  std::vector<NpyField> fields_;
  bool holds_objects_ = false;
};

Shape read_shape(const Cursor& in, const Literal& shape, const Limits& limits) {
  const auto wrong = [&](const Literal& at, std::string what, std::string expected) {
    return in.error_at(at.at, Code::Corrupt, std::move(what), std::move(expected), {}, std::string(kNext));
  };
  if (!shape.is_sequence()) throw wrong(shape, "the shape is no tuple", "such as (3, 4)");
  if (shape.items.size() > limits.tensor_rank)
    throw base::limit_error(in.where(shape.at), "the array has too many axes", {&Limits::tensor_rank, limits},
                            std::to_string(shape.items.size()));
  Shape extents;
  for (const Literal& item : shape.items) {
    if (!item.is_number()) throw wrong(item, "an extent of the array is no integer", "an integer");
    if (item.number < 0) throw wrong(item, "an extent of the array is negative", "0 or more");
    extents.push_back(item.number);
  }
  try {
    (void)element_count(extents);
  } catch (const Error& overflow) {
    throw wrong(shape, overflow.what_happened, overflow.expected);
  }
  return extents;
}

void read_members(const Cursor& in, const LiteralDict& dict, bool utf8, const Limits& limits, NpyHeader& header) {
  const Literal *descr = nullptr, *order = nullptr, *shape = nullptr;
  for (const auto& [key, value] : dict) {
    if (key == "descr") descr = &value;
    if (key == "fortran_order") order = &value;
    if (key == "shape") shape = &value;
  }
  if (descr == nullptr || order == nullptr || shape == nullptr || dict.size() != 3)
    throw in.error_at(0, Code::Corrupt, "the header has other members than an array's",
                      "descr, fortran_order and shape", base::plural(dict.size(), "member"), std::string(kNext));
  if (order->kind != Literal::Kind::Boolean)
    throw in.error_at(order->at, Code::Corrupt, "fortran_order is no bool", "True or False", {}, std::string(kNext));
  header.fortran_order = order->number != 0;
  header.shape = read_shape(in, *shape, limits);
  DescrReader(in, utf8, limits).read(*descr, header);
}

}  // namespace

std::uint64_t npy_header_bytes(std::span<const std::byte> start) {
  if (start.size() < kStartBytes) return kStartBytes;
  Cursor in(start, {});
  in.skip(kNpyMagic.size(), "magic");
  const bool is_long = in.u16("version") % 256 != 1;
  const std::uint64_t length = is_long ? in.u32("length") : in.u16("length");
  return in.position() + length;
}

NpyHeader read_npy_header(std::span<const std::byte> bytes, const NpyPlace& place, const Limits& limits) {
  Cursor in(bytes, place.file, place.member);
  if (!base::as_text(bytes).starts_with(kNpyMagic))
    throw in.error(Code::Corrupt, "this is no NumPy array", "93 `NUMPY`",
                   "`" + base::escape_for_terminal(base::as_text(bytes).substr(0, 8)) + "`", std::string(kNext));
  in.skip(kNpyMagic.size(), "magic");
  NpyHeader header;
  const std::uint64_t version_at = in.position();
  const int major = in.u8("the version"), minor = in.u8("the version");
  header.version = std::to_string(major) + "." + std::to_string(minor);
  if (major < 1 || major > 3 || minor != 0)
    throw in.error_at(version_at, Code::Unsupported, "the array has an unknown version", "1.0, 2.0 or 3.0",
                      header.version, "save it again with NumPy");
  const std::uint64_t length_at = in.position();
  const std::uint64_t length = major == 1 ? in.u16("the header length") : in.u32("the header length");
  if (length > limits.npy_header_bytes)
    throw base::limit_error(in.where(length_at), "the header is too long", {&Limits::npy_header_bytes, limits},
                            base::bytes_text(length), std::string(kNext));
  const std::uint64_t text_at = in.position();
  Cursor text(in.bytes(length, "the header"), place.file, place.member, text_at);
  header.data_begin = in.position();
  const LiteralDict dict = read_literal_dict(text, limits.npy_depth);
  read_members(text, dict, major == 3, limits, header);
  return header;
}

std::string_view npy_descr(DType dtype) {
  for (const auto& [known, name] : kDescrs)
    if (known == dtype) return name;
  return {};
}

std::string npy_header(DType dtype, const Shape& shape) {
  TENON_ASSERT(!npy_descr(dtype).empty());
  std::string dict = "{'descr': '" + std::string(npy_descr(dtype)) + "', 'fortran_order': False, 'shape': (";
  for (std::size_t axis = 0; axis < shape.size(); ++axis)
    dict += (axis > 0 ? ", " : "") + std::to_string(shape[axis]) + (shape.size() == 1 ? "," : "");
  dict += "), }";
  const bool is_long = dict.size() > 65'000;
  const std::size_t start = is_long ? 12 : 10;
  dict.resize((start + dict.size() + 1 + 63) / 64 * 64 - start - 1, ' ');
  dict += '\n';
  std::string bytes(kNpyMagic);
  bytes += is_long ? '\2' : '\1';
  bytes += '\0';
  for (std::size_t i = 0; i < start - 8; ++i)
    bytes += static_cast<char>(static_cast<unsigned char>(dict.size() >> (8 * i)));
  return bytes + dict;
}

}  // namespace tenon::formats
