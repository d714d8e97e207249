// ONNX: a protobuf that names operators and, for large tensors, other files.
// Source: onnx/onnx.proto (ModelProto, GraphProto, NodeProto, AttributeProto, TensorProto, SparseTensorProto,
// FunctionProto).
#include "scan/other_formats.hpp"

#include <algorithm>
#include <charconv>
#include <iterator>
#include <optional>
#include <string>
#include <vector>

#include "base/checked.hpp"
#include "base/cursor.hpp"
#include "base/limit_error.hpp"
#include "base/text.hpp"
#include "scan/preview.hpp"
#include "scan/side_files.hpp"

namespace tenon::scanning {

namespace {

using base::as_bytes;
using base::as_text;

enum class Wire : std::uint8_t { Varint = 0, Fixed64 = 1, Bytes = 2, Fixed32 = 5 };

struct Field {
  std::uint64_t number = 0;
  Wire wire = Wire::Varint;
  std::uint64_t value = 0;           ///< of a varint
  std::span<const std::byte> bytes;  ///< of Bytes
  std::uint64_t at = 0;              ///< where `bytes` begin, from the start of the part
};

/// The fields of one message, one after the other.
class Fields {
 public:
  Fields(std::span<const std::byte> bytes, std::uint64_t at) : in_(bytes, {}), at_(at) {}

  std::optional<Field> next() {
    if (in_.at_end()) return std::nullopt;
    const std::uint64_t tag = varint();
    Field field;
    field.number = tag >> 3;
    if (field.number == 0) throw in_.error(Code::Corrupt, "a field has the number 0");
    switch (tag & 7) {
      case 0: field.value = varint(); break;
      case 1:
        in_.skip(8, "field");
        field.wire = Wire::Fixed64;
        break;
      case 2: {
        field.wire = Wire::Bytes;
        const std::uint64_t length = varint();
        field.at = at_ + in_.position();
        field.bytes = in_.bytes(length, "field");
        break;
      }
      case 5:
        in_.skip(4, "field");
        field.wire = Wire::Fixed32;
        break;
      default: throw in_.error(Code::Corrupt, "a field has an unknown wire type");
    }
    return field;
  }

 private:
  std::uint64_t varint() {
    std::uint64_t value = 0;
    for (unsigned shift = 0; shift < 64; shift += 7) {
      const std::uint8_t byte = in_.u8("varint");
      value |= std::uint64_t{byte & 0x7FU} << shift;
      if ((byte & 0x80) == 0) return value;
    }
    throw in_.error(Code::Corrupt, "a number is too long");
  }

  base::Cursor in_;
  std::uint64_t at_;
};

constexpr std::string_view kKnownDomains[] = {
    "", "ai.onnx", "ai.onnx.ml", "ai.onnx.training", "ai.onnx.preview", "ai.onnx.preview.training"};

bool is_known_domain(std::string_view domain) {
  return std::find(std::begin(kKnownDomains), std::end(kKnownDomains), domain) != std::end(kKnownDomains);
}

/// Bytes of an element of raw_data; 0 where they are not whole or not known.
std::uint64_t element_bytes(std::uint64_t type) {
  constexpr std::uint8_t kBytes[] = {0, 4, 1, 1, 2, 2, 4, 8, 0, 1, 2, 8, 4, 8, 8, 16, 2, 1, 1, 1, 1, 0, 0, 0, 1};
  return type < std::size(kBytes) ? kBytes[type] : 0;
}

class Walk {
 public:
  Walk(const Part& part, Collector& out) : part_(part), out_(out) {}

  void model() {
    Fields fields(part_.bytes, 0);
    while (const auto field = fields.next()) {
      if (field->wire != Wire::Bytes) continue;
      if (field->number == 7) graph(*field, 0);
      if (field->number == 8) domain(*field, 1);
      if (field->number == 20) training(*field);
      if (field->number == 25) function(*field);
    }
  }

 private:
  void complain(ScanVerdict verdict, std::string_view rule, std::uint64_t at, std::string why) {
    out_.add(verdict, rule, part_, at, std::move(why));
  }

  void check_depth(unsigned depth) const {
    if (depth > out_.limits().protobuf_depth)
      throw base::limit_error({}, "graphs are nested too deeply", {&Limits::protobuf_depth, out_.limits()});
  }

  void training(const Field& message) {
    Fields fields(message.bytes, message.at);
    while (const auto field = fields.next())
      if (field->wire == Wire::Bytes && (field->number == 1 || field->number == 2)) graph(*field, 0);
  }

  void function(const Field& message) {
    Fields fields(message.bytes, message.at);
    while (const auto field = fields.next()) {
      if (field->wire != Wire::Bytes) continue;
      if (field->number == 7) node(*field, 0);
      if (field->number == 9) domain(*field, 1);
    }
  }

  void graph(const Field& message, unsigned depth) {
    check_depth(depth);
    Fields fields(message.bytes, message.at);
    while (const auto field = fields.next()) {
      if (field->wire != Wire::Bytes) continue;
      if (field->number == 1) node(*field, depth);
      if (field->number == 5) tensor(*field);
      if (field->number == 15) sparse(*field);
    }
  }

  void node(const Field& message, unsigned depth) {
    Fields fields(message.bytes, message.at);
    while (const auto field = fields.next()) {
      if (field->wire != Wire::Bytes) continue;
      if (field->number == 5) attribute(*field, depth);
      if (field->number == 7) report_domain(as_text(field->bytes), field->at);
    }
  }

  void attribute(const Field& message, unsigned depth) {
    Fields fields(message.bytes, message.at);
    while (const auto field = fields.next()) {
      if (field->wire != Wire::Bytes) continue;
      if (field->number == 5 || field->number == 10) tensor(*field);
      if (field->number == 6 || field->number == 11) graph(*field, depth + 1);
      if (field->number == 22 || field->number == 23) sparse(*field);
    }
  }

  void sparse(const Field& message) {
    Fields fields(message.bytes, message.at);
    while (const auto field = fields.next())
      if (field->wire == Wire::Bytes && (field->number == 1 || field->number == 2)) tensor(*field);
  }

  void domain(const Field& message, std::uint64_t number) {
    Fields fields(message.bytes, message.at);
    while (const auto field = fields.next())
      if (field->wire == Wire::Bytes && field->number == number) report_domain(as_text(field->bytes), field->at);
  }

  void report_domain(std::string_view name, std::uint64_t at) {
    if (is_known_domain(name)) return;
    ScanFinding finding;
    finding.rule = "onnx-custom-domain";
    finding.verdict = ScanVerdict::UnknownCode;
    finding.member = part_.member;
    finding.offset = part_.origin + at;
    finding.global = preview(name);  // told once for each domain
    finding.why = "operators of the domain `" + preview(name) + "` run a library that the model does not carry";
    out_.add(std::move(finding));
  }

  struct Tensor {
    std::optional<std::uint64_t> elements = 1;
    std::uint64_t type = 0, at = 0;
    bool negative = false, has_raw = false, is_external = false;
    std::uint64_t raw_bytes = 0;
    std::string location;
    std::uint64_t offset = 0;
    std::optional<std::uint64_t> length;
  };

  void tensor(const Field& message) {
    Tensor found;
    found.at = message.at;
    Fields fields(message.bytes, message.at);
    while (const auto field = fields.next()) {
      if (field->number == 1 && field->wire == Wire::Varint) extent(found, field->value);
      if (field->number == 1 && field->wire == Wire::Bytes) packed_extents(found, *field);
      if (field->number == 2 && field->wire == Wire::Varint) found.type = field->value;
      if (field->number == 14 && field->wire == Wire::Varint) found.is_external = field->value == 1;
      if (field->number == 9 && field->wire == Wire::Bytes) {
        found.has_raw = true;
        found.raw_bytes = field->bytes.size();
      }
      if (field->number == 13 && field->wire == Wire::Bytes) external_entry(found, *field);
    }
    check(found);
  }

  static void extent(Tensor& found, std::uint64_t value) {
    found.negative = found.negative || value > INT64_MAX;
    found.elements = found.elements ? base::checked_multiply(*found.elements, value) : found.elements;
  }

  static void packed_extents(Tensor& found, const Field& field) {
    std::uint64_t value = 0;
    unsigned shift = 0;
    for (const std::byte byte : field.bytes) {
      if (shift < 64) value |= (std::to_integer<std::uint64_t>(byte) & 0x7F) << shift;
      shift += 7;
      if ((byte & std::byte{0x80}) != std::byte{0}) continue;
      extent(found, value);
      value = 0;
      shift = 0;
    }
  }

  void external_entry(Tensor& found, const Field& message) {
    std::string_view key, value;
    Fields fields(message.bytes, message.at);
    while (const auto field = fields.next()) {
      if (field->number == 1 && field->wire == Wire::Bytes) key = as_text(field->bytes);
      if (field->number == 2 && field->wire == Wire::Bytes) value = as_text(field->bytes);
    }
    if (key == "location") found.location = value;
    if (key != "offset" && key != "length") return;
    std::uint64_t number = 0;
    const auto [end, error] = std::from_chars(value.data(), value.data() + value.size(), number);
    if (error != std::errc{} || end != value.data() + value.size())
      return complain(ScanVerdict::Malformed, "onnx-external-data", message.at,
                      "an offset or length of external data is no number");
    if (key == "offset") found.offset = number;
    if (key == "length") found.length = number;
  }

  void check(const Tensor& found) {
    if (found.negative)
      complain(ScanVerdict::Malformed, "onnx-malformed", found.at, "a tensor has a negative extent");
    else if (!found.elements)
      complain(ScanVerdict::Malformed, "onnx-malformed", found.at, "a tensor's shape overflows");
    const std::uint64_t width = element_bytes(found.type);
    const auto need = found.elements && width > 0 ? base::checked_multiply(*found.elements, width) : std::nullopt;
    if (found.is_external || !found.location.empty()) return check_external(found, need);
    if (!found.negative && found.has_raw && found.elements && width > 0 && (!need || *need > found.raw_bytes))
      complain(ScanVerdict::Malformed, "onnx-malformed", found.at,
               "a tensor has " + base::plural(found.raw_bytes, "byte") + ", fewer than its shape needs");
  }

  void check_external(const Tensor& found, std::optional<std::uint64_t> need) {
    if (judge_side_path(found.location) == SidePath::Leaves)
      return complain(ScanVerdict::Dangerous, "onnx-external-data", found.at,
                      "reads a file outside the model's folder: `" + preview(found.location) + "`");
    if (part_.depth > 0 || !out_.budget().looks_beside) return;
    const SideFile side = side_file(out_.file(), found.location);
    if (side.kind == SideFile::Kind::Link)
      return complain(ScanVerdict::UnknownCode, "onnx-external-data", found.at,
                      "the file of its tensors is a link: `" + preview(found.location) + "`");
    if (side.kind == SideFile::Kind::Missing)
      return out_.note("the file of its tensors is not there: " + preview(found.location));
    const auto end = base::checked_add(found.offset, found.length ? *found.length : need.value_or(0));
    if (side.kind == SideFile::Kind::File && (!end || *end > side.bytes))
      complain(ScanVerdict::Malformed, "onnx-external-data", found.at,
               "a tensor reaches past the end of `" + preview(found.location) + "`, which has " +
                   base::plural(side.bytes, "byte"));
  }

  const Part& part_;
  Collector& out_;
};

}  // namespace

bool looks_like_onnx(std::span<const std::byte> bytes) {
  const std::string_view head = as_text(bytes.first(std::min<std::size_t>(bytes.size(), 64)));
  return head.size() > 3 && head[0] == '\x08' && head[1] > 0 && head[1] < 32 &&
         (head[2] == '\x12' || head[2] == '\x3a' || head[2] == '\x42' || head[2] == '\x1a' || head[2] == '\x22' ||
          head[2] == '\x32');
}

void scan_onnx(const Part& part, Collector& out) {
  out.name_format("ONNX");
  try {
    Walk(part, out).model();
  } catch (const Error& error) {
    out.add(error, "onnx-malformed", part);
  }
}

}  // namespace tenon::scanning
