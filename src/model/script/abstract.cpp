#include "model/script/abstract.hpp"

#include <algorithm>
#include <cmath>
#include <optional>

#include <nlohmann/json.hpp>

namespace tenon::model::script {
namespace {

using Json = nlohmann::json;
using Kind = Abstract::Kind;

constexpr std::size_t kLongestSymbol = 200;
constexpr std::size_t kMostValues = 4096;
constexpr int kDeepestList = 16;
constexpr double kExactIntegers = 9007199254740992.0;  // 2^53

int depth_of(const Abstract& value) {
  int deepest = 0;
  for (const Abstract& item : value.items) deepest = std::max(deepest, depth_of(item));
  return deepest + 1;
}

std::optional<Json> json_of(const Abstract& value) {
  if (value.is(Kind::Plain)) return Json::parse(value.text, nullptr, false);
  if (!value.is(Kind::Sequence)) return std::nullopt;
  Json list = Json::array();
  for (const Abstract& item : value.items) {
    auto json = json_of(item);
    if (!json) return std::nullopt;
    list.push_back(std::move(*json));
  }
  return list;
}

double number_of(const Json& value) {
  return value.is_boolean() ? static_cast<double>(value.get<bool>()) : value.get<double>();
}

/// `a op b` where both are numbers; integers stay integers where the result is exact.
std::optional<Json> arithmetic(const std::string& op, const Json& a, const Json& b) {
  const auto is_number = [](const Json& value) { return value.is_number() || value.is_boolean(); };
  if (!is_number(a) || !is_number(b)) return std::nullopt;
  const double x = number_of(a), y = number_of(b);
  double result = 0;
  if (op == "add")
    result = x + y;
  else if (op == "sub")
    result = x - y;
  else if (op == "mul")
    result = x * y;
  else if (op == "div" && y != 0)
    result = x / y;
  else if (op == "floordiv" && y != 0)
    result = std::floor(x / y);
  else if (op == "remainder" && y != 0)
    result = x - std::floor(x / y) * y;
  else
    return std::nullopt;
  const bool is_whole = a.is_number_integer() && b.is_number_integer() && op != "div";
  if (is_whole && std::abs(result) <= kExactIntegers) return Json(static_cast<std::int64_t>(result));
  if (is_whole || !std::isfinite(result)) return std::nullopt;
  return Json(result);
}

std::optional<Json> comparison(const std::string& op, const Json& a, const Json& b) {
  if (op == "eq") return Json(a == b);
  if (op == "ne") return Json(a != b);
  if (op == "__contains__" && b.is_array()) return Json(std::find(b.begin(), b.end(), a) != b.end());
  if (op == "__contains__" && a.is_array()) return Json(std::find(a.begin(), a.end(), b) != a.end());
  if (!a.is_number() || !b.is_number()) return std::nullopt;
  const double x = number_of(a), y = number_of(b);
  if (op == "lt") return Json(x < y);
  if (op == "le") return Json(x <= y);
  if (op == "gt") return Json(x > y);
  if (op == "ge") return Json(x >= y);
  return std::nullopt;
}

/// `x is None` is known of all but symbols.
std::optional<bool> identity(const Abstract& a, const Abstract& b) {
  const bool a_none = a.is(Kind::Plain) && a.text == "null", b_none = b.is(Kind::Plain) && b.text == "null";
  if (a.is(Kind::Symbol) || b.is(Kind::Symbol) || (!a_none && !b_none)) return std::nullopt;
  return a_none && b_none;
}

std::optional<Json> folded(const std::string& op, const std::vector<Abstract>& arguments) {
  if (arguments.size() == 1) {
    const Abstract& only = arguments[0];
    if (op == "len" && only.is(Kind::Sequence)) return Json(only.items.size());
    if ((op == "__not__" || op == "bool") && truth_of(only) != Truth::Unknown)
      return Json((truth_of(only) == Truth::True) == (op == "bool"));
    const auto value = json_of(only);
    if (!value || !value->is_number()) return std::nullopt;
    if (op == "neg") return arithmetic("sub", Json(0), *value);
    if (op == "float") return Json(value->get<double>());
    if (op == "int" && std::abs(number_of(*value)) < kExactIntegers)
      return Json(static_cast<std::int64_t>(number_of(*value)));
    return std::nullopt;
  }
  if (arguments.size() != 2) return std::nullopt;
  if (op == "__is__" || op == "__isnot__") {
    const auto same = identity(arguments[0], arguments[1]);
    return same ? std::optional<Json>(*same == (op == "__is__")) : std::nullopt;
  }
  if (op == "and" || op == "or" || op == "__and__" || op == "__or__") {
    const Truth a = truth_of(arguments[0]), b = truth_of(arguments[1]);
    if (a == Truth::Unknown || b == Truth::Unknown) return std::nullopt;
    const bool x = a == Truth::True, y = b == Truth::True;
    return Json(op == "and" || op == "__and__" ? x && y : x || y);
  }
  const auto a = json_of(arguments[0]), b = json_of(arguments[1]);
  if (!a || !b) return std::nullopt;
  if (op == "add" && a->is_array() && b->is_array() && a->size() + b->size() <= kMostValues) {
    Json both = *a;
    both.insert(both.end(), b->begin(), b->end());
    return both;
  }
  const auto number = arithmetic(op, *a, *b);
  return number ? number : comparison(op, *a, *b);
}

}  // namespace

Abstract symbol(std::string text) {
  if (text.size() > kLongestSymbol) text.replace(kLongestSymbol - 3, std::string::npos, "...");
  return {Kind::Symbol, std::move(text), {}, {}};
}

std::size_t weight_of(const Abstract& value) {
  std::size_t weight = 1;
  for (const Abstract& item : value.items) weight += weight_of(item);
  return weight;
}

Abstract sequence(std::vector<Abstract> items) {
  Abstract list{Kind::Sequence, {}, {}, std::move(items)};
  return weight_of(list) > kMostValues || depth_of(list) > kDeepestList ? symbol("a large list") : list;
}

bool holds_tensor(const Abstract& value) {
  return value.is(Kind::Tensor) || std::any_of(value.items.begin(), value.items.end(), holds_tensor);
}

std::string text_of(const Abstract& value) {
  if (value.is(Kind::Name)) return value.text.substr(value.text.rfind('.') + 1);  // mangled names differ by chance
  if (!value.is(Kind::Sequence)) return value.text;
  std::string text;
  for (const Abstract& item : value.items) {
    if (text.size() > kLongestSymbol) break;
    const std::string part = text_of(item);
    text += (text.empty() || part.empty() ? "" : ", ") + part;
  }
  return "[" + text + "]";
}

Abstract fold(const std::string& op, const std::vector<Abstract>& arguments) {
  if (const auto known = folded(op, arguments)) {
    if (!known->is_array()) return plain(known->dump());
    Abstract list{Kind::Sequence, {}, {}, {}};
    for (const Json& item : *known) list.items.push_back(plain(item.dump()));
    return list;
  }
  if ((op == "int" || op == "float" || op == "Int" || op == "Float" || op == "IntImplicit" || op == "FloatImplicit") &&
      arguments.size() == 1 && arguments[0].is(Kind::Symbol))
    return arguments[0];  // only the type of what was read changes
  std::string text;
  for (const Abstract& argument : arguments) {
    const std::string part = text_of(argument);
    text += (text.empty() || part.empty() ? "" : ", ") + part;
  }
  return symbol(op + "(" + text + ")");
}

Truth truth_of(const Abstract& value) {
  if (value.is(Kind::Sequence)) return value.items.empty() ? Truth::False : Truth::True;
  if (!value.is(Kind::Plain)) return Truth::Unknown;
  const Json json = Json::parse(value.text, nullptr, false);
  if (json.is_boolean()) return json.get<bool>() ? Truth::True : Truth::False;
  if (json.is_null()) return Truth::False;
  if (json.is_number()) return json.get<double>() != 0 ? Truth::True : Truth::False;
  return Truth::Unknown;
}

}  // namespace tenon::model::script
