// A JSON document as a tree that keeps what other readers throw away: keys that stand twice.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <tenon/error.hpp>

namespace tenon::scanning {

struct JsonMember;

struct JsonValue {
  enum class Kind : std::uint8_t { Object, Array, String, Other };
  Kind kind = Kind::Other;
  std::string text;  ///< of a String
  std::vector<JsonValue> items;
  std::vector<JsonMember> members;  ///< in file order
  std::uint64_t at = 0;             ///< byte in the text

  /// The last member of that name, as Python reads it.
  const JsonValue* find(std::string_view name) const;
  std::string_view string(std::string_view name) const;  ///< of a String member; "" otherwise
};

/// Not std::pair, which Clang 14 cannot complete around a type that holds it.
struct JsonMember {
  std::string first;
  JsonValue second;
};

struct JsonTree {
  JsonValue root;
  std::optional<std::string> repeated_key;
  std::uint64_t repeated_at = 0;
  std::uint64_t end = 0;  ///< byte behind the value
};

enum class JsonEnd : std::uint8_t { Text, Anything };  ///< what may follow the value: white space, or any bytes

/// Throws Error Corrupt or Limit (depth).
JsonTree read_json_tree(std::string_view text, std::uint64_t max_depth, JsonEnd end = JsonEnd::Text);

}  // namespace tenon::scanning
