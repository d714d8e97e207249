// compare_probes: what two runs computed, side by side.
//
// Two probes say something about each other only where inputs and weights were the same. Inputs have digests; weights
// have fingerprints, which agree within the tolerance of the coarser dtype, so that a model in float64 and its rounded
// copy compare.
#include <algorithm>
#include <cmath>
#include <map>
#include <string>
#include <unordered_map>

#include <fmt/format.h>

#include <tenon/blueprint.hpp>

#include "base/text.hpp"

namespace tenon {
namespace {

double coarser_tolerance(DType a, DType b, double scale, double inner = 0) {
  return std::max(probe_tolerance(a, scale, inner), probe_tolerance(b, scale, inner));
}

bool near(double a, double b, double tolerance) {
  if (std::isnan(a) || std::isnan(b)) return std::isnan(a) && std::isnan(b);
  return a == b || std::abs(a - b) <= tolerance;
}

/// Digests tell, where both sides have one in the same dtype; a model in another precision takes its input in that, and
/// then the values tell. What nobody wrote down is not equal.
bool same_input(const ProbeTensor& a, const ProbeTensor& b) {
  if (a.shape != b.shape) return false;
  if (a.dtype == b.dtype && !a.digest.empty() && !b.digest.empty()) return a.digest == b.digest;
  const bool is_whole = !a.values.empty() && !b.values.empty();
  const auto& p = is_whole ? a.values : a.sample;
  const auto& q = is_whole ? b.values : b.sample;
  if (p.empty() && q.empty()) return element_count(a.shape) == 0;
  return std::equal(p.begin(), p.end(), q.begin(), q.end(),
                    [&](double u, double v) { return near(u, v, coarser_tolerance(a.dtype, b.dtype, std::abs(u))); });
}

bool same_inputs(const Probe& a, const Probe& b) {
  return std::equal(a.inputs.begin(), a.inputs.end(), b.inputs.begin(), b.inputs.end(), same_input);
}

/// Empty when the weights of both runs were the same; else the first tensor that was not.
std::string other_weights(const Blueprint& a, const Blueprint& b) {
  std::unordered_map<std::string_view, DType> a_dtypes, b_dtypes;
  for (const TensorSpec& spec : a.tensors) a_dtypes.emplace(spec.name, spec.dtype.value_or(DType::Float32));
  for (const TensorSpec& spec : b.tensors) b_dtypes.emplace(spec.name, spec.dtype.value_or(DType::Float32));
  std::unordered_map<std::string_view, const Fingerprint*> others;
  for (const Fingerprint& print : b.probe->state) others.emplace(print.name, &print);
  const auto dtype_in = [](const auto& dtypes, const std::string& name) {
    const auto found = dtypes.find(name);
    return found == dtypes.end() ? DType::Float32 : found->second;
  };
  for (const Fingerprint& print : a.probe->state) {
    const auto other = others.find(print.name);
    if (other == others.end()) continue;  // a name on one side only: the names tell that already
    const double scale = std::max(print.magnitude, other->second->magnitude);
    const double tolerance = coarser_tolerance(dtype_in(a_dtypes, print.name), dtype_in(b_dtypes, print.name), scale);
    if (!near(print.sum, other->second->sum, tolerance) || !near(print.magnitude, other->second->magnitude, tolerance))
      return print.name;
  }
  return {};
}

struct Deviation {
  double max_abs = 0;
  bool is_within = true;
};

/// The sizes of the terms that a tensor was made of, on both sides. Where the function is the same they are the same;
/// of two sizes the smaller one tells more.
struct Terms {
  double a = 0, b = 0;
};

Terms terms_of(const Probe& a, const ProbeTensor& x, std::size_t before_x, const Probe& b, const ProbeTensor& y,
               std::size_t before_y) {
  return {probe_inner_scale(a, x, before_x), probe_inner_scale(b, y, before_y)};
}

/// A tolerance that somebody made wider than the rule does; 0 where nobody did.
double widened(const ProbeTensor& tensor, double inner) {
  constexpr double kRounding = 1.001;  // of a tolerance that went through JSON
  const double by_rule = probe_tolerance(tensor.dtype, tensor.scale, inner);
  return tensor.tolerance.value_or(0) > kRounding * by_rule ? *tensor.tolerance : 0;
}

Deviation deviation(const ProbeTensor& a, const ProbeTensor& b, const Terms& terms) {
  Deviation result;
  const double scale = std::max(a.scale, b.scale);
  const double tolerance = std::max({coarser_tolerance(a.dtype, b.dtype, scale, std::min(terms.a, terms.b)),
                                     widened(a, terms.a), widened(b, terms.b)});
  if (a.sample.size() != b.sample.size()) return {0, false};
  for (std::size_t i = 0; i < a.sample.size(); ++i) {
    const double x = a.sample[i], y = b.sample[i];
    const double distance = near(x, y, 0) ? 0 : std::abs(x - y);  // inf - inf would be NaN
    if (distance > result.max_abs || std::isnan(distance)) result.max_abs = distance;
    if (!near(x, y, tolerance)) result.is_within = false;
  }
  return result;
}

bool same_form(const ProbeTensor& a, const ProbeTensor& b) {
  return a.shape == b.shape && dtype_kind(a.dtype) == dtype_kind(b.dtype);
}

/// Submodules that ran on both sides, in order: the first whose output is another one.
std::string first_deviating_module(const Probe& a, const Probe& b) {
  std::unordered_map<std::string_view, std::size_t> others;
  for (std::size_t i = 0; i < b.modules.size(); ++i) others.emplace(b.modules[i].name, i);
  for (std::size_t i = 0; i < a.modules.size(); ++i) {
    const ProbeTensor& module = a.modules[i];
    const auto other = others.find(module.name);
    if (other == others.end()) continue;
    const ProbeTensor& its = b.modules[other->second];
    if (!same_form(module, its)) return module.name;
    if (!deviation(module, its, terms_of(a, module, i, b, its, other->second)).is_within) return module.name;
  }
  return {};
}

std::string form_text(const ProbeTensor& tensor) {
  return std::string(dtype_name(tensor.dtype)) + " " + base::shape_text(tensor.shape);
}

ProbeComparison other_function(const Probe& a, const Probe& b, double max_abs, std::string detail) {
  return {ProbeVerdict::OtherFunction, max_abs, first_deviating_module(a, b), std::move(detail)};
}

/// Outputs of other number or shape, whatever the weights.
std::optional<ProbeComparison> other_forms(const Probe& a, const Probe& b) {
  if (a.outputs.size() != b.outputs.size())
    return other_function(
        a, b, 0,
        base::plural(a.outputs.size(), "output") + " there, " + base::plural(b.outputs.size(), "output") + " here");
  for (std::size_t i = 0; i < a.outputs.size(); ++i)
    if (!same_form(a.outputs[i], b.outputs[i]))
      return other_function(a, b, 0,
                            "output " + a.outputs[i].name + ": " + form_text(a.outputs[i]) + " there, " +
                                form_text(b.outputs[i]) + " here");
  return {};
}

bool same_digest(const ProbeTensor& a, const ProbeTensor& b) { return !a.digest.empty() && a.digest == b.digest; }

ProbeComparison compare_outputs(const Probe& a, const Probe& b) {
  ProbeComparison result;
  for (std::size_t i = 0; i < a.outputs.size(); ++i) {
    const ProbeTensor &x = a.outputs[i], &y = b.outputs[i];
    if (same_digest(x, y)) continue;
    const Deviation found = deviation(x, y, terms_of(a, x, a.modules.size(), b, y, b.modules.size()));
    if (found.max_abs > result.max_abs || std::isnan(found.max_abs)) result.max_abs = found.max_abs;
    if (!found.is_within)
      return other_function(a, b, result.max_abs,
                            fmt::format("output {}: deviates by {:.3g}, of values up to {:.3g}", x.name, found.max_abs,
                                        std::max(x.scale, y.scale)));
    result.verdict = ProbeVerdict::WithinTolerance;
    result.detail = fmt::format("largest deviation {:.3g}", result.max_abs);
  }
  return result;
}

/// The first output of which nothing tells whether it is the same; empty when there is none. Forms agree.
std::string unsampled_output(const Probe& a, const Probe& b) {
  for (std::size_t i = 0; i < a.outputs.size(); ++i) {
    const ProbeTensor &x = a.outputs[i], &y = b.outputs[i];
    if (same_digest(x, y) || element_count(x.shape) == 0) continue;
    if (x.sample.empty() || x.sample.size() != y.sample.size()) return x.name;
  }
  return {};
}

/// Why two probes cannot be compared; empty when they can. What is known without equal weights is looked at before.
std::string obstacle(const Blueprint& a, const Blueprint& b) {
  if (!a.probe || !b.probe) return "one side has no probe";
  if (a.probe->outputs.empty() || b.probe->outputs.empty()) return "one side's run gave no output";
  if (!a.probe->is_deterministic || !b.probe->is_deterministic) return "the outputs are random";
  if (!same_inputs(*a.probe, *b.probe)) return "the probes ran on other inputs";
  return {};
}

}  // namespace

std::string_view verdict_name(ProbeVerdict verdict) {
  switch (verdict) {
    case ProbeVerdict::Equal: return "equal";
    case ProbeVerdict::WithinTolerance: return "within_tolerance";
    case ProbeVerdict::OtherFunction: return "other_function";
  }
  return {};
}

std::optional<ProbeComparison> compare_probes(const Blueprint& from, const Blueprint& to, std::string* why_not) {
  std::string why = obstacle(from, to);
  if (why.empty()) {
    if (auto other = other_forms(*from.probe, *to.probe)) return other;
    const std::string tensor = other_weights(from, to);
    const std::string output = unsampled_output(*from.probe, *to.probe);
    if (tensor.empty() && output.empty()) return compare_outputs(*from.probe, *to.probe);
    why = tensor.empty() ? "output " + output + " has no samples that can be compared"
                         : "the probes ran with other weights (" + tensor + ")";
  }
  if (why_not != nullptr) *why_not = std::move(why);
  return {};
}

}  // namespace tenon
