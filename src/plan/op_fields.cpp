#include "plan/op_fields.hpp"

#include <cmath>
#include <limits>
#include <unordered_set>
#include <utility>

#include <tenon/limits.hpp>

#include "plan/limits.hpp"
#include "plan/regex.hpp"

namespace tenon::plan {
namespace {

using Json = nlohmann::json;

std::string kind(const Json* value) { return value == nullptr ? "nothing" : value->type_name(); }

}  // namespace

OpFields::OpFields(const Json& json, std::string place, const std::string& file)
    : json_(json), place_(std::move(place)), file_(file) {
  if (!json_.is_object()) throw wrong({}, "an operation is no object", "{\"op\": ...}", json_.type_name());
}

Where OpFields::place(std::string_view member) const {
  return {file_, {}, member.empty() ? place_ : place_ + "." + std::string(member), {}};
}

Error OpFields::wrong(std::string_view member, std::string what, std::string expected, std::string found) const {
  return Error(Code::Invalid, place(member), std::move(what), std::move(expected), std::move(found));
}

const Json* OpFields::find(const char* member) {
  asked_.insert(member);
  const auto found = json_.find(member);
  return found == json_.end() ? nullptr : &*found;
}

void OpFields::finish() const {
  for (const auto& [member, value] : json_.items())
    if (asked_.count(member) == 0)
      throw wrong(member, "the operation has no such member", "only its own members", member);
}

std::string OpFields::text(const char* member) {
  const Json* value = find(member);
  if (value == nullptr || !value->is_string())
    throw wrong(member, "a text is missing", std::string("\"") + member + "\": \"...\"", kind(value));
  return value->get<std::string>();
}

std::string OpFields::full_text(const char* member) {
  std::string found = text(member);
  if (found.empty()) throw wrong(member, "the text is empty", "at least one character", "none");
  return found;
}

std::string OpFields::text_or_none(const char* member) { return has(member) ? full_text(member) : std::string(); }

std::vector<std::string> OpFields::texts(const char* member) {
  const Json* value = find(member);
  if (value == nullptr || !value->is_array() || value->empty() || value->size() > kMaxParts)
    throw wrong(member, "a list of texts is missing", std::string("\"") + member + "\": [\"...\", ...]", kind(value));
  std::vector<std::string> result;
  std::unordered_set<std::string> seen;
  for (const Json& item : *value) {
    if (!item.is_string() || item.get_ref<const std::string&>().empty())
      throw wrong(member, "the list holds something else than texts", "texts that are not empty", item.type_name());
    result.push_back(item.get<std::string>());
    if (!seen.insert(result.back()).second) throw wrong(member, "a text stands twice", "each once", result.back());
  }
  return result;
}

bool OpFields::flag(const char* member) {
  const Json* value = find(member);
  if (value == nullptr) return false;
  if (!value->is_boolean()) throw wrong(member, "the member is neither true nor false", "true or false", kind(value));
  return value->get<bool>();
}

DType OpFields::dtype(const char* member) {
  const std::string found = full_text(member);
  if (const auto parsed = parse_dtype(found)) return *parsed;
  throw wrong(member, "unknown dtype", "a name such as float32", found);
}

std::int64_t OpFields::checked(const char* member, const Json* value, std::int64_t least, std::int64_t most) const {
  const bool is_whole = value != nullptr && value->is_number_integer() &&
                        !(value->is_number_unsigned() && value->get<std::uint64_t>() > std::uint64_t{1} << 62);
  const std::int64_t number = is_whole ? value->get<std::int64_t>() : 0;
  if (!is_whole || number < least || number > most)
    throw wrong(member, "the member is no whole number in its range", "at least " + std::to_string(least),
                value == nullptr ? "nothing" : value->dump());
  return number;
}

std::int64_t OpFields::integer(const char* member, std::int64_t least, std::int64_t most) {
  return checked(member, find(member), least, most);
}

std::int64_t OpFields::integer_or(const char* member, std::int64_t otherwise, std::int64_t least, std::int64_t most) {
  const Json* value = find(member);
  return value == nullptr ? otherwise : checked(member, value, least, most);
}

std::optional<double> OpFields::optional_number(const char* member) {
  const Json* value = find(member);
  if (value == nullptr) return std::nullopt;
  if (!value->is_number() || !std::isfinite(value->get<double>()))
    throw wrong(member, "the member is no number", "a finite number", kind(value));
  return value->get<double>();
}

Shape OpFields::list_of(const char* member, const Json* value, std::int64_t least, std::size_t most_count) const {
  if (value == nullptr || !value->is_array() || value->size() > most_count)
    throw wrong(member, "a list of whole numbers is missing",
                std::string("\"") + member + "\": [...], at most " + std::to_string(most_count), kind(value));
  Shape result;
  for (const Json& item : *value)
    result.push_back(checked(member, &item, least, std::numeric_limits<std::int64_t>::max()));
  return result;
}

Shape OpFields::integers(const char* member, std::int64_t least) {
  return list_of(member, find(member), least, Limits{}.tensor_rank);
}

Shape OpFields::integers_or_none(const char* member, std::int64_t least, std::size_t most_count) {
  const Json* value = find(member);
  return value == nullptr ? Shape() : list_of(member, value, least, most_count);
}

std::string OpFields::name(const char* member, bool is_expression) {
  std::string found = full_text(member);
  if (is_expression) static_cast<void>(NamePattern(found, place(member)));
  return found;
}

std::vector<std::string> OpFields::names(const char* member, bool is_expression) {
  std::vector<std::string> found = texts(member);
  if (is_expression)
    for (const std::string& one : found) static_cast<void>(NamePattern(one, place(member)));
  return found;
}

}  // namespace tenon::plan
