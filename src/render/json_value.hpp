// The contract's way to write values as JSON: what JSON numbers cannot hold becomes a string, and every text is UTF-8.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <nlohmann/json.hpp>

#include <tenon/error.hpp>
#include <tenon/tensor.hpp>
#include <tenon/value.hpp>

namespace tenon::rendering {

using Json = nlohmann::ordered_json;  // members keep their order

/// Bytes that are no UTF-8 as \xNN.
Json json_text(std::string_view text);
/// "" is what is not known: null.
Json json_text_or_null(std::string_view text);
Json json_texts(const std::vector<std::string>& texts);

// Integers beyond 2^53 are strings; NaN and infinities are "NaN", "Infinity", "-Infinity".
Json json_number(std::uint64_t number);
Json json_number(std::int64_t number);
Json json_number(double number);
template <class Number>
Json json_number(const std::optional<Number>& number) {
  return number ? json_number(*number) : Json(nullptr);
}

/// An object of many members, in their order: appended, because ordered_json looks for every member by walking. Of two
/// members of one name the first stays.
using Members = std::vector<std::pair<std::string, Json>>;
Json json_object(Members members);

Json json_shape(const Shape& shape);

/// Plain values as JSON; tuples and sets as arrays; records as {"type", "arguments", "state"}; what the reader left out
/// as
/// {"elided": why}. As deep as `Limits::nesting_depth` let the value become.
Json json_of(const Value& value);

/// The contract's "error" object; unknown members are null.
Json json_of(const Error& error);

/// A document's start: {"schema": "tenon.COMMAND/1"}.
Json document(std::string_view command);

/// One line and a newline.
std::string line_of(const Json& json);

}  // namespace tenon::rendering
