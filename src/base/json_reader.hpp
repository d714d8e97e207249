// JsonReader: a strict pull reader for JSON that may be hostile (the header of a safetensors file). One pass, no tree.
//
//   reader.begin_object();
//   while (auto key = reader.next_key()) ... read or skip exactly one value ...
//
// Strict: RFC 8259 and no more; well-formed UTF-8; no lone surrogates; limited depth; nothing but white space after the
// value. Whether a key may stand twice is the caller's to check: it knows the keys.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <tenon/error.hpp>

namespace tenon::base {

class JsonReader {
 public:
  /// `text` and `file` are named in errors; `origin` is the offset of `text` in the file. The text must outlive the
  /// reader.
  JsonReader(std::string_view text, std::string file, std::uint64_t origin, std::uint64_t max_depth);

  enum class Kind : std::uint8_t { Object, Array, String, Number, Bool, Null };
  Kind peek();  ///< kind of the value that comes next

  void begin_object();
  /// The next member's key, or nothing when the object has ended. Valid until the next call that reads a string.
  std::optional<std::string_view> next_key();
  void begin_array();
  bool next_element();  ///< false when the array has ended

  std::string_view string(std::string_view field);        ///< valid until the next call that reads a string
  std::int64_t unsigned_integer(std::string_view field);  ///< 0 .. 2^63-1; no sign, fraction or exponent
  void null();
  void skip_value();  ///< any value, checked all the same
  void end();         ///< only white space may be left

  std::uint64_t position() const { return position_; }
  Error error(std::uint64_t at, std::string what, std::string expected = {}, std::string found = {}) const;

 private:
  enum class Awaits : std::uint8_t { First, Next };

  void skip_space();
  char look() const { return position_ < text_.size() ? text_[position_] : '\0'; }
  void expect(char wanted, std::string_view what);
  void open(char bracket, std::string_view what);
  bool next_in(char closing);
  std::string_view raw_string(std::string_view field);
  void append_escape();
  char32_t hex4();
  void literal(std::string_view word);
  void number();
  void skip_one(std::vector<char>& open_brackets);
  std::string found_here() const;

  std::string_view text_;
  std::string file_;
  std::uint64_t origin_;
  std::uint64_t max_depth_;
  std::uint64_t position_ = 0;
  std::vector<Awaits> stack_;
  std::string unescaped_;
};

}  // namespace tenon::base
