// Source: numpy/lib/format.py. Layout: 93 "NUMPY", major, minor, header length (u16, from version 2 on u32), header.
#include "scan/npy_scan.hpp"

#include <algorithm>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/checked.hpp"
#include "base/cursor.hpp"
#include "base/limit_error.hpp"
#include "base/text.hpp"
#include "scan/pickle_scan.hpp"

namespace tenon::scanning {

namespace {

constexpr std::string_view kMagic{"\x93NUMPY", 6};

/// What a header says; the type codes are those of all fields.
struct Header {
  std::vector<std::string> types;
  std::uint64_t element_bytes = 0;
  std::vector<std::uint64_t> shape;
  std::uint64_t data_at = 0;
  bool has_objects = false;
};

struct Broken {
  std::string why;
};

/// {'descr': ..., 'fortran_order': False, 'shape': (3, 4), } and no more of Python than that.
class Literal {
 public:
  Literal(std::string_view text, const Limits& limits) : text_(text), limits_(limits) {}

  Header read() {
    Header header;
    expect('{');
    bool has_type = false, has_shape = false, has_order = false;
    while (!accept('}')) {
      const std::string key = string();
      expect(':');
      if (key == "descr" && !std::exchange(has_type, true))
        header.element_bytes = type(header, 0);
      else if (key == "shape" && !std::exchange(has_shape, true))
        header.shape = tuple();
      else if (key == "fortran_order" && !std::exchange(has_order, true))
        boolean();
      else
        throw Broken{"a key that stands twice or does not belong: " + key};
      if (!accept(',')) {
        expect('}');
        break;
      }
    }
    space();
    if (at_ != text_.size()) throw Broken{"something follows the closing brace"};
    if (!has_type || !has_shape || !has_order) throw Broken{"a key is missing"};
    return header;
  }

 private:
  void space() { at_ = std::min(text_.find_first_not_of(" \n\t", at_), text_.size()); }
  bool accept(char wanted) {
    space();
    if (at_ == text_.size() || text_[at_] != wanted) return false;
    ++at_;
    return true;
  }
  void expect(char wanted) {
    if (!accept(wanted)) throw Broken{std::string("no `") + wanted + "` where one belongs"};
  }
  bool next_is(std::string_view any_of) {
    space();
    return at_ < text_.size() && any_of.find(text_[at_]) != std::string_view::npos;
  }

  std::string string() {
    space();
    if (next_is("ub")) ++at_;  // Python 2
    if (!next_is("'\"")) throw Broken{"no string where one belongs"};
    const char quote = text_[at_++];
    const std::size_t end = text_.find(quote, at_);
    if (end == std::string_view::npos) throw Broken{"a string without its end"};
    std::string found(text_.substr(at_, end - at_));
    at_ = end + 1;
    return found;
  }

  std::uint64_t number() {
    space();
    std::uint64_t value = 0;
    const std::size_t begin = at_;
    while (at_ < text_.size() && text_[at_] >= '0' && text_[at_] <= '9') {
      const auto wider = base::checked_multiply(value, 10);
      const auto sum = wider ? base::checked_add(*wider, static_cast<std::uint64_t>(text_[at_] - '0')) : std::nullopt;
      if (!sum || *sum > INT64_MAX) throw Broken{"a number beyond 63 bits"};
      value = *sum;
      ++at_;
    }
    if (at_ == begin) throw Broken{"no number where one belongs"};
    if (at_ < text_.size() && text_[at_] == 'L') ++at_;  // Python 2
    return value;
  }

  std::vector<std::uint64_t> tuple() {
    std::vector<std::uint64_t> numbers;
    expect('(');
    while (!accept(')')) {
      if (numbers.size() >= limits_.tensor_rank)
        throw base::limit_error({}, "the array has too many axes", {&Limits::tensor_rank, limits_});
      numbers.push_back(number());
      if (!accept(',')) {
        expect(')');
        break;
      }
    }
    return numbers;
  }

  void boolean() {
    space();
    for (const std::string_view word : {"True", "False"})
      if (text_.substr(at_).starts_with(word)) {
        at_ += word.size();
        return;
      }
    throw Broken{"no truth value where one belongs"};
  }

  /// A code, a list of fields, or (type, shape). Returns the bytes of one element.
  std::uint64_t type(Header& header, unsigned depth) {
    if (depth > limits_.npy_depth)
      throw base::limit_error({}, "types are nested too deeply", {&Limits::npy_depth, limits_});
    if (next_is("[")) return fields(header, depth);
    if (next_is("(")) {
      expect('(');
      const std::uint64_t one = type(header, depth + 1);
      expect(',');
      const std::uint64_t all = times(one, next_is("(") ? tuple() : std::vector{number()});
      accept(',');
      expect(')');
      return all;
    }
    return code(header, string());
  }

  std::uint64_t fields(Header& header, unsigned depth) {
    std::uint64_t bytes = 0;
    expect('[');
    while (!accept(']')) {
      expect('(');
      if (next_is("(")) {  // (title, name)
        expect('(');
        string();
        expect(',');
        string();
        expect(')');
      } else {
        string();
      }
      expect(',');
      std::uint64_t one = type(header, depth + 1);
      if (accept(',') && next_is("(")) one = times(one, tuple());
      accept(',');
      expect(')');
      const auto sum = base::checked_add(bytes, one);
      if (!sum) throw Broken{"an element beyond 64 bits"};
      bytes = *sum;
      if (!accept(',')) {
        expect(']');
        break;
      }
    }
    return bytes;
  }

  static std::uint64_t times(std::uint64_t one, const std::vector<std::uint64_t>& extents) {
    std::optional<std::uint64_t> all = one;
    for (const std::uint64_t extent : extents) all = all ? base::checked_multiply(*all, extent) : all;
    if (!all) throw Broken{"an element beyond 64 bits"};
    return *all;
  }

  static std::uint64_t code(Header& header, const std::string& text) {
    std::string_view rest = text;
    if (!rest.empty() && std::string_view("<>|=").find(rest[0]) != std::string_view::npos) rest.remove_prefix(1);
    if (rest.starts_with('O') || rest == "object") header.has_objects = true;
    header.types.push_back(text);
    if (rest == "?") return 1;
    if (rest.empty()) throw Broken{"an empty type"};
    std::uint64_t count = 0;
    for (std::size_t i = 1; i < rest.size() && i < 12 && rest[i] >= '0' && rest[i] <= '9'; ++i)
      count = count * 10 + static_cast<std::uint64_t>(rest[i] - '0');
    return rest[0] == 'U' ? 4 * count : count;
  }

  std::string_view text_;
  const Limits& limits_;
  std::size_t at_ = 0;
};

Header read_header(const Part& part, const Limits& limits) {
  base::Cursor in(part.bytes, {});
  in.skip(kMagic.size(), "magic");
  const std::uint8_t major = in.u8("major");
  in.skip(1, "minor");
  if (major < 1 || major > 3) throw Broken{"its version is unknown"};
  const std::uint64_t length = major == 1 ? in.u16("header length") : in.u32("header length");
  if (length > in.remaining()) throw Broken{"it is longer than the file"};
  if (length > limits.npy_header_bytes)
    throw base::limit_error({}, "the array's header is too long", {&Limits::npy_header_bytes, limits},
                            base::plural(length, "byte"));
  Header header = Literal(in.text(length, "header"), limits).read();
  header.data_at = in.position();
  return header;
}

std::optional<Header> header_or_finding(const Part& part, Collector& out) {
  try {
    return read_header(part, out.limits());
  } catch (const Broken& broken) {
    out.add(ScanVerdict::Malformed, "npy-header", part, 0, "the array's header is no plain literal: " + broken.why);
  } catch (const Error& error) {
    if (!error.limit.empty())
      out.add(error, "npy-header", part);
    else
      out.add(ScanVerdict::Malformed, "npy-header", part, 0, "the array's header is cut short: " + error.what_happened);
  }
  return std::nullopt;
}

/// False when bytes follow the elements.
bool check_length(const Part& part, const Header& header, std::uint64_t whole_bytes, Collector& out) {
  std::optional<std::uint64_t> need = header.element_bytes;
  for (const std::uint64_t extent : header.shape) need = need ? base::checked_multiply(*need, extent) : need;
  const std::uint64_t left = whole_bytes - std::min(whole_bytes, header.data_at);
  if (!need || *need > left)
    out.add(ScanVerdict::Malformed, "npy-header", part, 0,
            "the array's shape needs more bytes than the file has: " + base::plural(left, "byte"));
  return !need || *need >= left;
}

}  // namespace

bool looks_like_npy(std::span<const std::byte> bytes) { return base::as_text(bytes).starts_with(kMagic); }

bool scan_npy_header(const Part& head, std::uint64_t whole_bytes, Collector& out) {
  const auto header = header_or_finding(head, out);
  if (!header) return false;
  if (header->has_objects) return false;
  if (!check_length(head, *header, whole_bytes, out)) return false;
  out.budget().scanned_bytes += header->data_at;
  return true;
}

void scan_npy(const Part& part, Collector& out) {
  out.name_format("NumPy array");
  const auto header = header_or_finding(part, out);
  if (!header) return scan_strays(part, out);
  if (header->has_objects) {
    scan_pickles(part.from(header->data_at), Start::Certain, {}, out);
    return;
  }
  if (check_length(part, *header, part.bytes.size(), out)) return;
  std::uint64_t end = header->data_at + header->element_bytes;
  for (const std::uint64_t extent : header->shape) end = header->data_at + (end - header->data_at) * extent;
  out.add_unexplained(part, end, part.bytes.size() - end);
  scan_strays(part.from(end), out);
}

}  // namespace tenon::scanning
