#include "diagnose/function/option_text.hpp"

#include <algorithm>
#include <set>

#include <nlohmann/json.hpp>

namespace tenon::diagnosis {
namespace {

using Json = nlohmann::json;

/// Recursion is as deep as the document, which its reader has limited.
bool same(const Json& a, const Json& b) {
  if (a.is_number() && b.is_number()) return a.get<double>() == b.get<double>();
  if (a.is_array() && b.is_array())
    return a.size() == b.size() &&
           std::equal(a.begin(), a.end(), b.begin(), [](const Json& x, const Json& y) { return same(x, y); });
  if (a.is_array() != b.is_array()) {
    const Json& list = a.is_array() ? a : b;
    const Json& one = a.is_array() ? b : a;
    return one.is_number() && !list.empty() &&
           std::all_of(list.begin(), list.end(), [&](const Json& item) { return same(item, one); });
  }
  return a == b;
}

/// "N", the batch's extent, as a number.
Json extent(const Json& value, std::int64_t batch) { return value == "N" ? Json(batch) : value; }

bool in_ratio(const Json& first, const Json& second, const Batches& batches) {
  const Json a = extent(first, batches.from), b = extent(second, batches.to);
  if (!a.is_number_integer() || !b.is_number_integer()) return false;
  const auto x = a.get<std::int64_t>(), y = b.get<std::int64_t>();
  if (x < batches.from || batches.from <= 0 || batches.to <= 0 || x % batches.from != 0) return false;
  return y % batches.to == 0 && x / batches.from == y / batches.to;
}

/// Arguments are compared in place: `2` for a window and `[2, 2]` occur here, too.
bool same_in_ratio(const Json& a, const Json& b, const Batches& batches) {
  if (same(a, b) || same(extent(a, batches.from), extent(b, batches.to)) || in_ratio(a, b, batches)) return true;
  if (a.is_array() && b.is_array() && a.size() == b.size())
    return std::equal(a.begin(), a.end(), b.begin(),
                      [&](const Json& x, const Json& y) { return same_in_ratio(x, y, batches); });
  if (a.is_object() && b.is_object() && a.size() == b.size())
    return std::equal(a.items().begin(), a.items().end(), b.items().begin(), [&](const auto& x, const auto& y) {
      return x.key() == y.key() && same_in_ratio(x.value(), y.value(), batches);
    });
  return false;
}

/// A keyword argument is an object of one member.
std::set<std::string> keywords_of(const Json& arguments) {
  std::set<std::string> names;
  if (arguments.is_array())
    for (const Json& item : arguments)
      if (item.is_object() && item.size() == 1) names.insert(item.begin().key());
  return names;
}

void keep_keywords(Json& arguments, const std::set<std::string>& names) {
  if (!arguments.is_array()) return;
  Json kept = Json::array();
  for (Json& item : arguments)
    if (!item.is_object() || item.size() != 1 || names.count(item.begin().key()) > 0) kept.push_back(std::move(item));
  arguments = std::move(kept);
}

Json parsed(const std::string& json) {
  Json value = Json::parse(json, nullptr, false);
  return value.is_discarded() ? Json(json) : value;
}

std::string text_of(const Json& value) {
  if (value.is_string()) return value.get<std::string>();
  if (!value.is_array()) return value.dump();
  const bool uniform = value.size() > 1 &&
                       std::all_of(value.begin(), value.end(), [&](const Json& item) { return item == value.front(); });
  if (uniform && value.front().is_number()) return value.front().dump();
  std::string text = "[";
  for (std::size_t i = 0; i < value.size(); ++i) text += (i > 0 ? ", " : "") + text_of(value[i]);
  return text + "]";
}

}  // namespace

bool same_option(const std::string& a, const std::string& b) { return a == b || same(parsed(a), parsed(b)); }

bool same_arguments(const std::string& a, const std::string& b, const Batches& batches, Keywords keywords) {
  if (a == b) return true;
  Json x = parsed(a), y = parsed(b);
  if (keywords == Keywords::Shared) {
    const auto names_of_x = keywords_of(x);
    keep_keywords(x, keywords_of(y));
    keep_keywords(y, names_of_x);
  }
  return same_in_ratio(x, y, batches);
}

std::string describe(const ModuleSpec& module) {
  std::string text;
  for (const auto& [name, json] : module.options) {
    const Json value = parsed(json);
    if (value.is_null() || name == "inplace") continue;
    text += (text.empty() ? "" : ", ") + name + "=" + text_of(value);
  }
  return module.type + "(" + text + ")";
}

std::string arguments_text(const std::string& args) {
  const Json list = parsed(args);
  if (!list.is_array()) return text_of(list);
  std::string text;
  for (const Json& item : list) {
    if (!text.empty()) text += ", ";
    if (item.is_object() && item.size() == 1)
      text += item.begin().key() + "=" + text_of(item.begin().value());
    else
      text += text_of(item);
  }
  return text;
}

}  // namespace tenon::diagnosis
