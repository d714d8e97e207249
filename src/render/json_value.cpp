#include "render/json_value.hpp"

#include <cmath>
#include <set>
#include <utility>

#include <fmt/format.h>

#include <tenon/render.hpp>

#include "base/utf8.hpp"

namespace tenon::rendering {

namespace {

constexpr std::int64_t kLargestExact = std::int64_t{1} << 53;

/// The key of a mapping as a member's name: text as it is, other plain values as Python prints them.
std::string member_name(const Value& key) {
  if (const auto* text = std::get_if<std::string>(&key.is)) return base::to_valid_utf8(*text);
  if (const auto* number = std::get_if<std::int64_t>(&key.is)) return std::to_string(*number);
  if (const auto* flag = std::get_if<bool>(&key.is)) return *flag ? "True" : "False";
  if (std::holds_alternative<std::monostate>(key.is)) return "None";
  return json_of(key).dump();
}

/// An object; pairs where two keys would get one member's name (1 and "1").
Json json_of_pairs(const ValuePairs& pairs) {
  Members members;
  std::set<std::string> names;
  for (const auto& [key, value] : pairs) {
    members.emplace_back(member_name(key), json_of(value));
    names.insert(members.back().first);
  }
  if (names.size() == members.size()) return json_object(std::move(members));
  Json list = Json::array();
  for (const auto& [key, value] : pairs) list.push_back(Json::array({json_of(key), json_of(value)}));
  return list;
}

Json json_of_list(const ValueList& items) {
  Json array = Json::array();
  for (const Value& item : items) array.push_back(json_of(item));
  return array;
}

struct ValueWriter {
  Json operator()(std::monostate) const { return nullptr; }
  Json operator()(bool value) const { return value; }
  Json operator()(std::int64_t value) const { return json_number(value); }
  Json operator()(double value) const { return json_number(value); }
  Json operator()(const BigInt& value) const { return value.digits; }
  Json operator()(const std::string& value) const { return json_text(value); }
  Json operator()(const Bytes& value) const { return json_text(value.bytes); }
  Json operator()(const Sequence& value) const { return json_of_list(value.items); }
  Json operator()(const Mapping& value) const { return json_of_pairs(value.items); }
  Json operator()(const Record& value) const {
    Json json;
    json["type"] = json_text(value.type);
    json["arguments"] = json_of_list(value.arguments);
    json["state"] = json_of_pairs(value.state);
    return json;
  }
  Json operator()(const Elided& value) const { return Json{{"elided", json_text(value.why)}}; }
};

}  // namespace

Json json_text(std::string_view text) { return base::to_valid_utf8(text); }
Json json_text_or_null(std::string_view text) { return text.empty() ? Json(nullptr) : json_text(text); }

Json json_texts(const std::vector<std::string>& texts) {
  Json array = Json::array();
  for (const std::string& text : texts) array.push_back(json_text(text));
  return array;
}

Json json_number(std::uint64_t number) {
  if (number > static_cast<std::uint64_t>(kLargestExact)) return std::to_string(number);
  return number;
}
Json json_number(std::int64_t number) {
  if (number > kLargestExact || number < -kLargestExact) return std::to_string(number);
  return number;
}
Json json_number(double number) {
  if (std::isnan(number)) return "NaN";
  if (std::isinf(number)) return number > 0 ? "Infinity" : "-Infinity";
  return number;
}

Json json_object(Members members) {
  Json object = Json::object();
  auto& rows = static_cast<std::vector<std::pair<const std::string, Json>>&>(object.get_ref<Json::object_t&>());
  std::set<std::string> seen;
  for (auto& [name, value] : members)
    if (seen.insert(name).second) rows.emplace_back(std::move(name), std::move(value));
  return object;
}

Json json_shape(const Shape& shape) {
  Json array = Json::array();
  for (const std::int64_t extent : shape) array.push_back(json_number(extent));
  return array;
}

Json json_of(const Value& value) { return std::visit(ValueWriter{}, value.is); }

Json json_of(const Error& error) {
  Json json;
  json["code"] = std::string(code_name(error.code));
  json["file"] = json_text_or_null(error.where.file);
  json["member"] = json_text_or_null(error.where.member);
  json["key"] = json_text_or_null(error.where.key);
  json["byte"] = json_number(error.where.byte);
  json["what"] = json_text(error.what_happened);
  json["expected"] = json_text_or_null(error.expected);
  json["found"] = json_text_or_null(error.found);
  json["next"] = json_text_or_null(error.next);
  return json;
}

Json document(std::string_view command) {
  Json json;
  json["schema"] = fmt::format("tenon.{}/1", command);
  return json;
}

std::string line_of(const Json& json) { return json.dump() + "\n"; }

}  // namespace tenon::rendering

namespace tenon {

std::string render_json(const Error& error, std::string_view command) {
  rendering::Json json = rendering::document(command);
  json["error"] = rendering::json_of(error);
  return rendering::line_of(json);
}

std::string escape_text(std::string_view text) { return base::escape_for_terminal(text); }

}  // namespace tenon
