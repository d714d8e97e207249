#include "model/json_fields.hpp"

#include <cmath>
#include <limits>
#include <utility>

namespace tenon::model {
namespace {

using Json = nlohmann::json;

const Json kNull;
const Json kNoElements = Json::array();

std::string kind_of(const Json& value) { return value.is_null() ? "nothing" : value.type_name(); }

/// A number, or the texts that stand for what JSON has no number for.
std::optional<double> number_in(const Json& value) {
  if (value.is_number()) return value.get<double>();
  if (!value.is_string()) return {};
  const auto& text = value.get_ref<const std::string&>();
  if (text == "nan") return std::nan("");
  if (text == "inf") return std::numeric_limits<double>::infinity();
  if (text == "-inf") return -std::numeric_limits<double>::infinity();
  return {};
}

}  // namespace

JsonFields::JsonFields(const Json& object, std::string place, const std::string& file, const Limits& limits)
    : object_(object), place_(std::move(place)), file_(file), limits_(limits) {
  if (!object_.is_object()) throw wrong({}, "no JSON object stands there", "{...}", kind_of(object_));
}

const Json& JsonFields::find(const char* member) const {
  const auto found = object_.find(member);
  return found == object_.end() ? kNull : *found;
}

const Json& JsonFields::array_or_none(const char* member) const {
  const Json& value = find(member);
  if (value.is_null()) return kNoElements;
  if (!value.is_array()) throw wrong(member, "no array stands there", "[...]", kind_of(value));
  return value;
}

JsonFields JsonFields::at(const char* member, const Json& element, std::size_t index) const {
  return {element, place(member) + "[" + std::to_string(index) + "]", file_, limits_};
}

JsonFields JsonFields::object(const char* member) const { return {find(member), place(member), file_, limits_}; }

std::string JsonFields::text(const char* member) const {
  const Json& value = find(member);
  if (!value.is_string())
    throw wrong(member, "a text is missing", std::string("\"") + member + "\": \"...\"", kind_of(value));
  return value.get<std::string>();
}

std::string JsonFields::text_or(const char* member, std::string otherwise) const {
  return find(member).is_null() ? std::move(otherwise) : text(member);
}

double JsonFields::number_or(const char* member, double otherwise) const {
  const Json& value = find(member);
  if (value.is_null()) return otherwise;
  const auto number = number_in(value);
  if (!number) throw wrong(member, "no number stands there", "a number", kind_of(value));
  return *number;
}

std::optional<std::uint64_t> JsonFields::optional_count(const char* member) const {
  const Json& value = find(member);
  if (value.is_null()) return {};
  if (!value.is_number_unsigned())
    throw wrong(member, "no whole number from 0 up stands there", "0, 1, 2, ...", value.dump(-1, ' ', true));
  return value.get<std::uint64_t>();
}

std::uint64_t JsonFields::count(const char* member) const {
  const auto value = optional_count(member);
  if (!value) throw wrong(member, "a number is missing", "0, 1, 2, ...", "nothing");
  return *value;
}

std::optional<bool> JsonFields::optional_flag(const char* member) const {
  const Json& value = find(member);
  if (value.is_null()) return {};
  if (!value.is_boolean()) throw wrong(member, "neither true nor false", "true or false", kind_of(value));
  return value.get<bool>();
}

DType JsonFields::dtype(const char* member) const {
  const std::string name = text(member);
  const auto dtype = parse_dtype(name);
  if (!dtype) throw wrong(member, "unknown dtype", "a name such as float32", name);
  return *dtype;
}

Shape JsonFields::shape(const char* member) const {
  const Json& value = find(member);
  if (!value.is_array()) throw wrong(member, "no shape", "an array of extents", kind_of(value));
  if (value.size() > limits_.tensor_rank)
    throw wrong(member, "too many axes", "at most " + std::to_string(limits_.tensor_rank),
                std::to_string(value.size()));
  Shape extents;
  std::int64_t count = 1;
  for (const Json& extent : value) {
    if (!extent.is_number_unsigned() || extent.get<std::uint64_t>() > std::uint64_t{INT64_MAX})
      throw wrong(member, "an extent is no whole number from 0 up", "0, 1, 2, ...", extent.dump(-1, ' ', true));
    extents.push_back(extent.get<std::int64_t>());
    if (__builtin_mul_overflow(count, extents.back(), &count))  // so that no later product can overflow
      throw wrong(member, "the shape has more elements than 64 bits count", "fewer than 2^63", value.dump());
  }
  return extents;
}

std::vector<double> JsonFields::numbers_or_none(const char* member) const {
  std::vector<double> numbers;
  for (const Json& element : array_or_none(member)) {
    const auto number = number_in(element);
    if (!number) throw wrong(member, "no number stands there", "an array of numbers", kind_of(element));
    numbers.push_back(*number);
  }
  return numbers;
}

std::vector<std::string> JsonFields::texts_or_none(const char* member) const {
  std::vector<std::string> texts;
  for (const Json& element : array_or_none(member)) {
    if (!element.is_string()) throw wrong(member, "no text stands there", "an array of texts", kind_of(element));
    texts.push_back(element.get<std::string>());
  }
  return texts;
}

std::string JsonFields::place(std::string_view member) const {
  if (member.empty()) return place_;
  return place_ + (place_.empty() ? "" : ".") + std::string(member);
}

Error JsonFields::wrong(std::string_view member, std::string what, std::string expected, std::string found) const {
  return Error(Code::Corrupt, {file_, {}, place(member), {}}, std::move(what), std::move(expected), std::move(found));
}

}  // namespace tenon::model
