#include "container/pickle_writer.hpp"

#include <bit>
#include <charconv>
#include <limits>
#include <utility>
#include <vector>

#include <tenon/error.hpp>

#include "base/utf8.hpp"

namespace tenon::container {

namespace {

/// Little-endian two's complement of decimal text, as short as it can be.
std::string twos_complement(std::string_view decimal) {
  const bool negative = decimal.starts_with('-');
  std::vector<unsigned> bytes{0};  // little-endian magnitude
  for (const char digit : decimal.substr(negative ? 1 : 0)) {
    TENON_ASSERT(digit >= '0' && digit <= '9');
    unsigned carry = static_cast<unsigned>(digit - '0');
    for (unsigned& byte : bytes) {
      carry += byte * 10;
      byte = carry & 0xFFU;
      carry >>= 8U;
    }
    if (carry > 0) bytes.push_back(carry);
  }
  bytes.push_back(0);  // room for the sign
  if (negative) {
    unsigned carry = 1;
    for (unsigned& byte : bytes) {
      carry += byte ^ 0xFFU;
      byte = carry & 0xFFU;
      carry >>= 8U;
    }
  }
  const unsigned filler = negative ? 0xFFU : 0U;
  while (bytes.size() > 1 && bytes.back() == filler && (bytes[bytes.size() - 2] & 0x80U) == (filler & 0x80U))
    bytes.pop_back();
  std::string out;
  for (const unsigned byte : bytes) out += static_cast<char>(static_cast<unsigned char>(byte));
  return out;
}

}  // namespace

PickleWriter::PickleWriter() : out_("\x80\x02") {}

void PickleWriter::put(std::uint64_t number, int width) {
  for (int i = 0; i < width; ++i) out_ += static_cast<char>(static_cast<unsigned char>(number >> (8 * i)));
}

void PickleWriter::none() { out_ += 'N'; }
void PickleWriter::boolean(bool value) { out_ += value ? '\x88' : '\x89'; }

void PickleWriter::integer(std::int64_t value) {
  if (value >= 0 && value <= 0xFF) {
    out_ += 'K';
    put(static_cast<std::uint64_t>(value), 1);
  } else if (value >= 0 && value <= 0xFFFF) {
    out_ += 'M';
    put(static_cast<std::uint64_t>(value), 2);
  } else if (value >= std::numeric_limits<std::int32_t>::min() && value <= std::numeric_limits<std::int32_t>::max()) {
    out_ += 'J';
    put(static_cast<std::uint64_t>(value), 4);
  } else {
    out_ += "\x8a\x08";
    put(static_cast<std::uint64_t>(value), 8);
  }
}

void PickleWriter::big_integer(std::string_view decimal) {
  std::int64_t small = 0;
  const char* const end = decimal.data() + decimal.size();
  if (const auto read = std::from_chars(decimal.data(), end, small); read.ec == std::errc{} && read.ptr == end)
    return integer(small);
  const std::string bytes = twos_complement(decimal);
  if (bytes.size() < 256) {
    out_ += '\x8a';
    put(bytes.size(), 1);
  } else {
    out_ += '\x8b';
    put(bytes.size(), 4);
  }
  out_ += bytes;
}

void PickleWriter::real(double value) {
  out_ += 'G';
  put(__builtin_bswap64(std::bit_cast<std::uint64_t>(value)), 8);
}

void PickleWriter::text(std::string_view utf8) {
  out_ += 'X';
  put(utf8.size(), 4);
  out_ += utf8;
}

/// Protocol 2 has no bytes: `_codecs.encode(text, 'latin1')`, as CPython writes them.
void PickleWriter::bytes(std::string_view raw) {
  std::string latin1;
  for (const char c : raw) base::append_utf8(latin1, static_cast<unsigned char>(c));
  global("_codecs", "encode");
  begin_tuple();
  text(latin1);
  text("latin1");
  end_tuple();
  reduce();
}

void PickleWriter::begin_dict() { out_ += "}("; }
void PickleWriter::end_dict() { out_ += 'u'; }
void PickleWriter::begin_list() { out_ += "]("; }
void PickleWriter::end_list() { out_ += 'e'; }
void PickleWriter::begin_tuple() { out_ += '('; }
void PickleWriter::end_tuple() { out_ += 't'; }

void PickleWriter::global(std::string_view module, std::string_view name) {
  out_ += 'c';
  out_ += module;
  out_ += '\n';
  out_ += name;
  out_ += '\n';
}

void PickleWriter::reduce() { out_ += 'R'; }
void PickleWriter::persistent_id() { out_ += 'Q'; }

// Recursion is as deep as the value, which the reader has limited.
void PickleWriter::value(const Value& value) {
  struct Visitor {
    PickleWriter& out;
    void operator()(std::monostate) const { out.none(); }
    void operator()(bool v) const { out.boolean(v); }
    void operator()(std::int64_t v) const { out.integer(v); }
    void operator()(double v) const { out.real(v); }
    void operator()(const BigInt& v) const { out.big_integer(v.digits); }
    void operator()(const std::string& v) const { out.text(v); }
    void operator()(const Bytes& v) const { out.bytes(v.bytes); }
    void operator()(const Sequence& v) const {
      const bool tuple = v.type == "tuple";
      tuple ? out.begin_tuple() : out.begin_list();
      for (const Value& item : v.items) out.value(item);
      tuple ? out.end_tuple() : out.end_list();
    }
    void operator()(const Mapping& v) const {
      out.begin_dict();
      for (const auto& [key, item] : v.items) {
        out.value(key);
        out.value(item);
      }
      out.end_dict();
    }
    void operator()(const Record&) const { throw Bug("a record is not plain"); }
    void operator()(const Elided&) const { throw Bug("an elided value is not plain"); }
  };
  std::visit(Visitor{*this}, value.is);
}

std::string PickleWriter::finish() {
  out_ += '.';
  return std::exchange(out_, {});
}

}  // namespace tenon::container
