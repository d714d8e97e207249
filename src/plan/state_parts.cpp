// Operations that take tensors apart or put several together.
#include <algorithm>

#include "plan/limits.hpp"
#include "plan/name_map.hpp"
#include "plan/state.hpp"

namespace tenon::plan {
namespace {

Error lacks(const std::string& name, std::string what, std::string expected) {
  return Error(Code::Invalid, {{}, {}, name, {}}, std::move(what), std::move(expected), "no tensor of that name",
               "correct the operation's names");
}

}  // namespace

State::ByName State::by_name() const {
  ByName places;
  places.reserve(tensors_.size());
  for (std::size_t i = 0; i < tensors_.size(); ++i) places[tensors_[i].spec.name] = i;
  return places;
}

Planned State::planned_as(std::string name, std::size_t like, Recipe recipe) const {
  Planned made{tensors_[like].spec, tensors_[like].source, std::move(recipe)};
  made.spec.name = std::move(name);
  made.spec.shape = made.recipe->shape;
  made.spec.dtype = made.recipe->dtype;
  return made;
}

std::size_t State::replace(std::vector<Replacement> replacements) {
  std::vector<const Replacement*> starts(tensors_.size(), nullptr);
  std::vector<bool> is_gone(tensors_.size(), false);
  std::size_t made = 0;
  std::uint64_t name_bytes = 0;
  for (const Replacement& replacement : replacements) {
    if (starts[replacement.at] != nullptr)
      throw lacks(tensors_[replacement.at].spec.name, "one tensor is to become two", "one result for each tensor");
    starts[replacement.at] = &replacement;
    for (const std::size_t gone : replacement.gone) is_gone[gone] = true;
    made += replacement.made.size();
    for (const Planned& tensor : replacement.made) {
      name_bytes += tensor.spec.name.size();
      if (tensor.spec.name.size() > kMaxNameBytes)
        throw Error(Code::Limit, {}, "the plan makes a name too long", std::to_string(kMaxNameBytes), "more");
    }
  }
  add_name_bytes(name_bytes);
  if (tensors_.size() + made > kMaxTensors)
    throw Error(Code::Limit, {}, "the plan makes too many tensors", "at most " + std::to_string(kMaxTensors), "more");
  std::vector<Planned> result;
  result.reserve(tensors_.size() + made);
  for (std::size_t i = 0; i < tensors_.size(); ++i) {
    if (is_gone[i])  // left out, unless a result is made of it: rehearse() tells them apart
      for (const std::size_t source : sources(tensors_[i])) dropped_.push_back(source);
    if (!is_gone[i]) result.push_back(std::move(tensors_[i]));
    if (starts[i] != nullptr) result.insert(result.end(), starts[i]->made.begin(), starts[i]->made.end());
  }
  tensors_ = std::move(result);
  return replacements.size();
}

std::size_t State::operate(const Split& op) {
  if (op.regex) spend(kStepsOfExpression * op.to.size() * tensors_.size());
  const NameMap map(op.from, op.regex);
  std::vector<Replacement> replacements;
  for (std::size_t i = 0; i < tensors_.size(); ++i) {
    const std::string& name = tensors_[i].spec.name;
    if (op.to.empty() || !map(name, op.to.front())) continue;
    const std::vector<Recipe> parts = recipes_for(name).split(recipe_of(tensors_[i]), op);
    Replacement replacement{i, {i}, {}};
    for (std::size_t part = 0; part < parts.size(); ++part)
      replacement.made.push_back(planned_as(*map(name, op.to[part]), i, parts[part]));
    replacements.push_back(std::move(replacement));
  }
  return replace(std::move(replacements));
}

std::size_t State::operate(const Fuse& op) {
  spend((op.regex ? kStepsOfExpression : 1) * op.from.size() * tensors_.size());
  struct Parts {
    std::string to;
    std::vector<std::optional<std::size_t>> at;
  };
  std::vector<Parts> fused;
  std::unordered_map<std::string, std::size_t> place;  // of a result in `fused`
  for (std::size_t part = 0; part < op.from.size(); ++part) {
    const NameMap map(op.from[part], op.regex);
    for (std::size_t i = 0; i < tensors_.size(); ++i) {
      const auto to = map(tensors_[i].spec.name, op.to);
      if (!to) continue;
      const auto [found, is_new] = place.try_emplace(*to, fused.size());
      if (is_new) fused.push_back({*to, std::vector<std::optional<std::size_t>>(op.from.size())});
      auto& slot = fused[found->second].at[part];
      if (slot) throw lacks(*to, "two tensors are the same part of one", "one tensor for each of `from`");
      slot = i;
    }
  }
  std::vector<Replacement> replacements;
  std::vector<bool> is_used(tensors_.size(), false);
  for (const Parts& parts : fused) {
    Replacement replacement;
    std::vector<Recipe> inputs;
    for (std::size_t part = 0; part < parts.at.size(); ++part) {
      if (!parts.at[part]) throw lacks(parts.to, "a part of the fused tensor is missing", op.from[part]);
      if (is_used[*parts.at[part]]) throw lacks(parts.to, "one tensor is fused twice", "each tensor once");
      is_used[*parts.at[part]] = true;
      replacement.gone.push_back(*parts.at[part]);
      inputs.push_back(recipe_of(tensors_[*parts.at[part]]));
    }
    replacement.at = *std::min_element(replacement.gone.begin(), replacement.gone.end());
    replacement.made.push_back(planned_as(parts.to, replacement.gone.front(), recipes_for(parts.to).fused(inputs, op)));
    replacements.push_back(std::move(replacement));
  }
  return replace(std::move(replacements));
}

std::size_t State::operate(const Tie& op) {
  if (op.regex) spend(kStepsOfExpression * tensors_.size());
  const NameMap map(op.from, op.regex);
  std::vector<Replacement> replacements;
  for (std::size_t i = 0; i < tensors_.size(); ++i)
    if (auto to = map(tensors_[i].spec.name, op.to))
      replacements.push_back({i, {}, {planned_as(std::move(*to), i, recipe_of(tensors_[i]))}});
  return replace(std::move(replacements));
}

std::size_t State::operate(const MergeLora& op) {
  spend(2 * kStepsOfExpression * tensors_.size());
  const NameMap down(op.down, true), up(op.up, true);
  const ByName places = by_name();
  std::unordered_map<std::string, std::size_t> ups;
  for (std::size_t i = 0; i < tensors_.size(); ++i)
    if (auto to = up(tensors_[i].spec.name, op.to))
      if (!ups.emplace(std::move(*to), i).second)
        throw lacks(tensors_[i].spec.name, "two tensors are `up` of one", "one");
  std::vector<Replacement> replacements;
  for (std::size_t i = 0; i < tensors_.size(); ++i) {
    const std::string& name = tensors_[i].spec.name;
    auto to = down(name, op.to);
    if (!to) continue;
    const auto partner = ups.find(*to);
    if (partner == ups.end()) throw lacks(name, "a low-rank matrix has no partner", op.up);
    Replacement replacement{i, {i, partner->second}, {}};
    ups.erase(partner);
    const auto take = [&](const std::string& wanted) -> Recipe {
      if (wanted.empty()) return {};
      const auto found = places.find(*down(name, wanted));
      if (found == places.end()) return {};
      replacement.gone.push_back(found->second);
      return recipe_of(tensors_[found->second]);
    };
    const Recipe base = take(op.base.empty() ? op.to : op.base);
    if (base) replacement.at = replacement.gone.back();
    const std::size_t like = replacement.at;
    const Recipe alpha = take(op.alpha);
    if (!op.alpha.empty() && !alpha) throw lacks(name, "the low-rank matrices have no alpha", op.alpha);
    const Recipe merged =
        recipes_for(*to).merged(base, recipe_of(tensors_[i]), recipe_of(tensors_[replacement.gone[1]]), alpha, op);
    replacement.made.push_back(planned_as(std::move(*to), like, merged));
    replacements.push_back(std::move(replacement));
  }
  if (!ups.empty()) throw lacks(tensors_[ups.begin()->second].spec.name, "a low-rank matrix has no partner", op.down);
  return replace(std::move(replacements));
}

std::size_t State::operate(const FoldBatchNorm& op) {
  spend((op.regex ? kStepsOfExpression : 1) * tensors_.size());
  const NameMap conv(op.conv, op.regex);
  const ByName places = by_name();
  constexpr std::string_view kWeight = ".weight";
  std::vector<Replacement> replacements;
  for (std::size_t i = 0; i < tensors_.size(); ++i) {
    if (!tensors_[i].spec.name.ends_with(kWeight)) continue;
    const std::string module = tensors_[i].spec.name.substr(0, tensors_[i].spec.name.size() - kWeight.size());
    const auto norm = conv(module, op.norm);
    if (!norm) continue;
    Replacement replacement{i, {i}, {}};
    const auto take = [&](const std::string& wanted) -> Recipe {
      const auto found = places.find(wanted);
      if (found == places.end()) return {};
      replacement.gone.push_back(found->second);
      return recipe_of(tensors_[found->second]);
    };
    const Recipes::NormFold parts{recipe_of(tensors_[i]), take(module + ".bias"),        take(*norm + ".weight"),
                                  take(*norm + ".bias"),  take(*norm + ".running_mean"), take(*norm + ".running_var")};
    take(*norm + ".num_batches_tracked");
    if (!parts.mean || !parts.variance)
      throw lacks(module, "the layer has no batch norm behind it", *norm + ".running_mean and .running_var");
    const std::string to = op.to.empty() ? module : *conv(module, op.to);
    const auto [weight, bias] = recipes_for(tensors_[i].spec.name).folded(parts, op);
    replacement.made = {planned_as(to + ".weight", i, weight), planned_as(to + ".bias", i, bias)};
    replacements.push_back(std::move(replacement));
  }
  return replace(std::move(replacements));
}

std::size_t State::operate(const FoldWeightNorm& op) {
  spend((op.regex ? kStepsOfExpression : 1) * tensors_.size());
  const NameMap g(op.g, op.regex);
  const ByName places = by_name();
  std::vector<Replacement> replacements;
  for (std::size_t i = 0; i < tensors_.size(); ++i) {
    const auto v_name = g(tensors_[i].spec.name, op.v);
    if (!v_name) continue;
    const auto v = places.find(*v_name);
    if (v == places.end()) throw lacks(tensors_[i].spec.name, "the norms have no directions", *v_name);
    const std::string to = *g(tensors_[i].spec.name, op.to);
    const Recipe made = recipes_for(to).norm_multiplied(recipe_of(tensors_[i]), recipe_of(tensors_[v->second]));
    replacements.push_back({i, {i, v->second}, {planned_as(to, v->second, made)}});
  }
  return replace(std::move(replacements));
}

std::size_t State::operate(const UnfoldWeightNorm& op) {
  spend((op.regex ? kStepsOfExpression : 1) * tensors_.size());
  const NameMap map(op.from, op.regex);
  std::vector<Replacement> replacements;
  for (std::size_t i = 0; i < tensors_.size(); ++i) {
    const std::string& name = tensors_[i].spec.name;
    const auto g = map(name, op.g);
    if (!g) continue;
    const Recipe weight = recipe_of(tensors_[i]);
    replacements.push_back(
        {i,
         {i},
         {planned_as(*g, i, recipes_for(*g).norm_taken(weight, op.dim)), planned_as(*map(name, op.v), i, weight)}});
  }
  return replace(std::move(replacements));
}

}  // namespace tenon::plan
