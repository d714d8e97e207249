// Grids: which axes of two shapes hold positions of an image, and how many rows beside them are tokens.
#pragma once

#include <optional>

#include <tenon/plan.hpp>
#include <tenon/recipe.hpp>

namespace tenon::plan {

/// What resizing `from` to `to` (equal ranks) means; nothing where the shapes and the operation do not tell.
///
/// One axis differs: it is [tokens + rows * columns]; the least number of tokens (0, 1, 2, or 3 at the end, as in
/// BEiT's relative position biases) that leaves a square on both sides, or what the operation says. Two neighbouring
/// axes differ, or one and the mode is Linear: the axes are the grid themselves.
std::optional<Interpolate> interpolation(const Shape& from, const Shape& to, const Resize& op);

}  // namespace tenon::plan
