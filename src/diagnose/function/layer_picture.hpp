// The picture of a changed layer: the layer, the one before and the one after, on both sides, with what they give.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include <tenon/diagnose.hpp>

#include "diagnose/function/function_difference.hpp"

namespace tenon::diagnosis {

/// A layer after the change that is given something else than it was made for.
struct Misfit {
  std::string layer;  ///< path
  std::string type;   ///< `Linear`
  std::string what;   ///< `features`, `channels`
  std::int64_t wanted = 0, given = 0;
};

struct LayerPicture {
  std::vector<LayerRow> rows;    ///< one before, the changed one, one after, as far as there are such
  std::optional<Misfit> misfit;  ///< where it can be computed
};

/// Shapes come from the runs where there are any, and else are computed for layers whose arithmetic is known. No rows
/// where the changed place is no layer and no operation: a container, the class of the model.
LayerPicture layer_picture(const FunctionDifference& function, const ArchitectureChange& change);

}  // namespace tenon::diagnosis
