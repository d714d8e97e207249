// environment_changes: the differences of two environments that can change a result, each with its consequence.
//
// A table of what matters. All else (compiler, operating system, threads, the processor's instructions) reorders sums
// within the probe's tolerance, and is in the blueprint for people to read.
#include <algorithm>
#include <string>

#include <nlohmann/json.hpp>

#include <tenon/blueprint.hpp>

#include "diagnose/function/release.hpp"

namespace tenon {
namespace {

using Json = nlohmann::json;

/// What one side says of `name`; null where it says nothing.
Json value_of(const Blueprint& blueprint, std::string_view name) {
  for (const auto& [key, json] : blueprint.environment)
    if (key == name) return Json::parse(json, nullptr, false);
  return {};
}

std::string text_of(const Json& value) {
  if (value.is_null()) return "none";
  return value.is_string() ? value.get<std::string>() : value.dump();
}

bool always(const Json&, const Json&) { return true; }

/// The C++ and the Python front end of one release run the same operators.
bool other_release(const Json& from, const Json& to) {
  const auto number = [](const Json& value) {
    const std::string text = diagnosis::release(text_of(value));
    return text.substr(text.find(' ') == std::string::npos ? 0 : text.find(' ') + 1);
  };
  const auto name = [](const Json& value) {
    const std::string text = text_of(value).substr(0, text_of(value).find(' '));
    return text == "libtorch" ? std::string("torch") : text;
  };
  return name(from) != name(to) || number(from) != number(to);
}

bool one_has_none(const Json& from, const Json& to) { return from.is_null() != to.is_null(); }

struct Rule {
  std::string_view what;
  bool (*matters)(const Json& from, const Json& to);
  std::string_view consequence;
};

constexpr Rule kRules[] = {
    {"framework", other_release,
     "defaults and kernels of operators differ between releases: results agree within rounding, if no operator "
     "changed"},
    {"default_dtype", always, "tensors made inside `forward` have another dtype, and so may the results"},
    {"cuda", one_has_none, "sums are taken in another order on the other device: results agree within rounding only"},
    {"tf32", always, "matrix products on the GPU keep 10 bits of each factor instead of 23: errors of about 1e-3"},
    {"deterministic", always, "without deterministic algorithms two runs of one model may differ in the last bits"},
    {"cudnn_benchmark", always, "the convolution algorithm is chosen by speed at run time: the last bits may differ"},
};

}  // namespace

std::vector<EnvironmentChange> environment_changes(const Blueprint& from, const Blueprint& to) {
  std::vector<EnvironmentChange> changes;
  if (from.environment.empty() || to.environment.empty()) return changes;
  for (const Rule& rule : kRules) {
    const Json before = value_of(from, rule.what), after = value_of(to, rule.what);
    if (before == after || !rule.matters(before, after)) continue;
    // null is an answer where there is no GPU; elsewhere that side does not say
    if (rule.matters != one_has_none && (before.is_null() || after.is_null())) continue;
    changes.push_back({std::string(rule.what), text_of(before), text_of(after), std::string(rule.consequence)});
  }
  return changes;
}

}  // namespace tenon
