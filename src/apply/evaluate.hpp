// evaluate: a recipe carried out on values.
#pragma once

#include <string>

#include <tenon/recipe.hpp>
#include <tenon/tensor.hpp>

#include "apply/values.hpp"

namespace tenon::apply_plan {

/// `name` is what the tensor is called in the target, for the leaves and rows that are the target's.
///
/// Memory: the tensors of one recipe; steps that move bytes copy only where a new shape needs them dense.
/// Throws Error: what Checkpoint::tensor throws, Invalid (a leaf without values, no scale), Refused (a cast that was
/// said to be exact changes values).
Tensor evaluate(const RecipeNode& node, const Values& values, const std::string& name);

}  // namespace tenon::apply_plan
