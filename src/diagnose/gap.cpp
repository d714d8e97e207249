#include "diagnose/gap.hpp"

#include <string_view>
#include <unordered_map>

namespace tenon::diagnosis {

bool shapes_differ(const TensorSpec& a, const TensorSpec& b) { return a.shape && b.shape && *a.shape != *b.shape; }

Gap gap_between(const plan::State& state, const Listing& target) {
  const auto& tensors = state.tensors();
  std::unordered_map<std::string_view, std::size_t> by_name;
  by_name.reserve(tensors.size());
  for (std::size_t i = 0; i < tensors.size(); ++i) by_name.try_emplace(tensors[i].spec.name, i);

  Gap gap;
  std::vector<bool> is_taken(tensors.size(), false);
  for (std::size_t i = 0; i < target.tensors.size(); ++i) {
    const auto found = by_name.find(target.tensors[i].name);
    if (found == by_name.end()) {
      (state.keeps_target(target.tensors[i].name) ? gap.kept : gap.missing).push_back(i);
      continue;
    }
    is_taken[found->second] = true;
    const bool differ = shapes_differ(tensors[found->second].spec, target.tensors[i]);
    (differ ? gap.mismatched : gap.matched).push_back({i, found->second});
  }
  for (std::size_t i = 0; i < tensors.size(); ++i)
    if (!is_taken[i]) gap.unexpected.push_back(i);
  return gap;
}

}  // namespace tenon::diagnosis
