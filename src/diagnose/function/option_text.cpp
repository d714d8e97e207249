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

bool share_factor(std::int64_t x, std::int64_t y, const Batches& batches, std::size_t next) {
  if (x == y) return true;
  for (; next <= batches.others.size(); ++next) {
    const auto [from, to] = next == 0 ? std::pair(batches.from, batches.to) : batches.others[next - 1];
    if (from > 0 && to > 0 && from != to && x % from == 0 && y % to == 0 &&
        share_factor(x / from, y / to, batches, next + 1))
      return true;
  }
  return false;
}

bool in_ratio(const Json& first, const Json& second, const Batches& batches) {
  const Json a = extent(first, batches.from), b = extent(second, batches.to);
  if (!a.is_number_integer() || !b.is_number_integer()) return false;
  const auto x = a.get<std::int64_t>(), y = b.get<std::int64_t>();
  return x != 0 && y != 0 && (x > 0) == (y > 0) && share_factor(x, y, batches, 0);
}

/// `0:7:`, a slice: each part is a number or empty.
std::vector<Json> parts_of(const std::string& slice) {
  std::vector<Json> parts;
  for (std::size_t begin = 0; begin <= slice.size();) {
    const std::size_t end = std::min(slice.find(':', begin), slice.size());
    const std::string part = slice.substr(begin, end - begin);
    const bool is_number = !part.empty() && part.size() < 18 &&
                           part.find_first_not_of("0123456789", part[0] == '-' ? 1 : 0) == std::string::npos;
    parts.push_back(is_number && part != "-" ? Json(std::stoll(part)) : Json(part));
    begin = end + 1;
  }
  return parts;
}

bool same_slice(const Json& a, const Json& b, const Batches& batches) {
  if (!a.is_string() || !b.is_string()) return false;
  const auto x = parts_of(a.get<std::string>()), y = parts_of(b.get<std::string>());
  return x.size() > 1 && std::equal(x.begin(), x.end(), y.begin(), y.end(),
                                    [&](const Json& p, const Json& q) { return p == q || in_ratio(p, q, batches); });
}

/// Arguments are compared in place: `2` for a window and `[2, 2]` occur here, too.
bool same_in_ratio(const Json& a, const Json& b, const Batches& batches) {
  if (same(a, b) || same(extent(a, batches.from), extent(b, batches.to)) || in_ratio(a, b, batches) ||
      same_slice(a, b, batches))
    return true;
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
