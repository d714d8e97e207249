#include "torch/match.hpp"

#include <algorithm>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <variant>

#include <tenon/error.hpp>

#include "torch/state.hpp"

namespace tenon::torch_bridge {
namespace {

/// `*` any run, `?` one character; linear but for the last star, where it starts over.
bool glob_matches(std::string_view pattern, std::string_view name) {
  std::size_t p = 0, n = 0, star = std::string_view::npos, resume = 0;
  while (n < name.size()) {
    if (p < pattern.size() && pattern[p] == '*') {
      star = p++;
      resume = n;
    } else if (p < pattern.size() && (pattern[p] == '?' || pattern[p] == name[n])) {
      ++p, ++n;
    } else if (star != std::string_view::npos) {
      p = star + 1;
      n = ++resume;
    } else {
      return false;
    }
  }
  return pattern.find_first_not_of('*', p) == std::string_view::npos;
}

bool kept(const Rehearsal& rehearsal, std::string_view name) {
  const auto& patterns = rehearsal.kept_patterns;
  return std::any_of(patterns.begin(), patterns.end(), [&](const auto& p) { return glob_matches(p, name); });
}

void phrase(std::string& text, const std::vector<std::string>& names, std::string_view what) {
  if (names.empty()) return;
  if (!text.empty()) text += "; ";
  text += std::to_string(names.size()) + " " + std::string(what) + " (" + few(names) + ")";
}

}  // namespace

Match match(const Plan& plan, const Listing& checkpoint, const Listing& wanted) {
  const Rehearsal rehearsal = rehearse(plan, checkpoint);
  std::unordered_map<std::string_view, const Planned*> offered;
  for (const Planned& planned : rehearsal.tensors) offered.emplace(planned.spec.name, &planned);

  Match result;
  for (std::size_t index : rehearsal.dropped) result.dropped.push_back(checkpoint.tensors[index].name);
  for (std::size_t i = 0; i < wanted.tensors.size(); ++i) {
    const TensorSpec& spec = wanted.tensors[i];
    const auto found = offered.find(spec.name);
    if (found == offered.end()) {
      (kept(rehearsal, spec.name) ? result.kept : result.difference.missing).push_back(spec.name);
      continue;
    }
    const Planned& planned = *found->second;
    offered.erase(found);
    if (planned.spec.shape == spec.shape)
      result.pairs.push_back({i, planned});
    else
      result.difference.mismatched.push_back(
          {spec.name, planned.spec.shape.value_or(Shape{}), spec.shape.value_or(Shape{})});
  }
  for (const Planned& planned : rehearsal.tensors)
    if (offered.contains(planned.spec.name)) result.difference.unexpected.push_back(planned.spec.name);
  result.difference.matched = result.pairs.size();
  return result;
}

Tensor values_of(const Listing& checkpoint, const Planned& planned) {
  if (planned.recipe) return evaluate(planned, checkpoint, {});
  TENON_ASSERT(checkpoint.values.has_value() && planned.source < checkpoint.value_names.size());
  return checkpoint.values->tensor(checkpoint.value_names[planned.source]);
}

DTypeChange measure(const TensorSpec& wanted, const TensorView& stored) {
  const DType model = wanted.dtype.value_or(stored.dtype);
  if (!can_cast(stored.dtype, model))
    throw Error(Code::Unsupported, {.file = {}, .member = {}, .key = wanted.name, .byte = {}},
                "there is no conversion between these dtypes", std::string(dtype_name(model)),
                std::string(dtype_name(stored.dtype)));
  return {wanted.name, stored.dtype, model, cast_loss(stored, model)};
}

std::string in_words(const Difference& difference) {
  std::vector<std::string> mismatched, lossy;
  for (const Mismatch& m : difference.mismatched) mismatched.push_back(m.key);
  for (const DTypeChange& c : difference.dtype_changes)
    if (c.loss && c.loss->changed > 0) lossy.push_back(c.key);
  std::string text;
  phrase(text, difference.missing, "missing");
  phrase(text, difference.unexpected, "unexpected");
  phrase(text, mismatched, "mismatched");
  phrase(text, lossy, "rounded by the model's dtype");
  return text;
}

}  // namespace tenon::torch_bridge
