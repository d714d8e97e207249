// Operations that change tensors one by one.
#include "base/text.hpp"
#include "plan/state.hpp"

namespace tenon::plan {

std::size_t State::remake(const std::string& pattern, const Remake& make) {
  std::vector<std::pair<std::size_t, Recipe>> made;  // beside `tensors_`, so that a throw changes nothing
  for (std::size_t i = 0; i < tensors_.size(); ++i)
    if (base::glob_match(pattern, tensors_[i].spec.name))
      made.emplace_back(i, make(recipes_for(tensors_[i].spec.name), recipe_of(tensors_[i])));
  for (auto& [at, recipe] : made) {
    tensors_[at].spec.shape = recipe->shape;
    tensors_[at].spec.dtype = recipe->dtype;
    tensors_[at].recipe = std::move(recipe);
  }
  return made.size();
}

std::size_t State::operate(const Cast& op) {
  return remake(op.pattern, [&](const Recipes& recipes, const Recipe& input) {
    return recipes.converted(input, op, applicability_);
  });
}

std::size_t State::operate(const Transpose& op) {
  return remake(op.pattern,
                [&](const Recipes& recipes, const Recipe& input) { return recipes.permuted(input, op.dims); });
}

std::size_t State::operate(const Reshape& op) {
  return remake(op.pattern,
                [&](const Recipes& recipes, const Recipe& input) { return recipes.viewed(input, op.shape); });
}

std::size_t State::operate(const Reorder& op) {
  return remake(op.pattern, [&](const Recipes& recipes, const Recipe& input) { return recipes.reordered(input, op); });
}

std::size_t State::operate(const Resize& op) {
  return remake(op.pattern, [&](const Recipes& recipes, const Recipe& input) { return recipes.resized(input, op); });
}

std::size_t State::operate(const ResizeRows& op) {
  return remake(op.pattern, [&](const Recipes& recipes, const Recipe& input) { return recipes.with_rows(input, op); });
}

std::size_t State::operate(const InflateChannels& op) {
  return remake(op.pattern,
                [&](const Recipes& recipes, const Recipe& input) { return recipes.with_channels(input, op); });
}

/// The parts of a quantised tensor go with it: they are spent.
std::size_t State::operate(const Dequantize& op) {
  std::unordered_map<std::string, bool> is_done;
  const std::size_t count =
      remake(op.pattern, [&](const Recipes& recipes, const Recipe& input) { return recipes.dequantized(input); });
  if (count == 0) return 0;
  for (const Planned& tensor : tensors_)
    if (base::glob_match(op.pattern, tensor.spec.name)) is_done[tensor.spec.name] = true;
  drop_where([&](const TensorSpec& spec) {
    const auto dot = spec.name.rfind(".<");
    return dot != std::string::npos && spec.name.ends_with('>') && is_done.contains(spec.name.substr(0, dot));
  });
  return count;
}

}  // namespace tenon::plan
