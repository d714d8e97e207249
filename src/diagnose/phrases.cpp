#include "diagnose/phrases.hpp"

#include <algorithm>

#include "base/text.hpp"

namespace tenon::diagnosis {

std::string quoted(std::string_view name) { return "`" + std::string(name) + "`"; }

std::string list_text(const std::vector<std::string>& names) {
  constexpr std::size_t kShown = 3;
  std::string text;
  for (std::size_t i = 0; i < std::min(names.size(), kShown); ++i) text += (i == 0 ? "" : ", ") + quoted(names[i]);
  if (names.size() > kShown) text += " and " + base::count_text(names.size() - kShown) + " more";
  return text;
}

std::string attribute_text(std::string_view name) {
  std::string text = "model";
  while (!name.empty()) {
    const std::string_view part = name.substr(0, name.find('.'));
    const bool is_index = !part.empty() && part.find_first_not_of("0123456789") == std::string_view::npos;
    text += is_index ? "[" + std::string(part) + "]" : "." + std::string(part);
    name.remove_prefix(std::min(part.size() + 1, name.size()));
  }
  return text;
}

std::string place_of(const Case& facts) {
  std::string path = facts.checkpoint.state_dict;
  if (!facts.state.unwrapped().empty()) path += (path.empty() ? "" : ".") + facts.state.unwrapped();
  const std::string place = facts.checkpoint.label + (path.empty() ? "" : ", state dict " + quoted(path));
  if (facts.knowledge == Knowledge::Partial) return place;
  return place + ", " + base::plural(facts.state.tensors().size(), "key");
}

std::string shape_of(const TensorSpec& spec) { return spec.shape ? base::shape_text(*spec.shape) : std::string(); }

}  // namespace tenon::diagnosis
