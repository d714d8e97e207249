// Phrases that several causes use: lists that stop at three, counts, places.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "diagnose/case.hpp"

namespace tenon::diagnosis {

/// "`a`, `b`, `c` and 9 more".
std::string list_text(const std::vector<std::string>& names);

/// "`name`"
std::string quoted(std::string_view name);

/// How Python reaches what a dotted name means: "model.layers[0].act" of "layers.0.act"; "model" of "".
std::string attribute_text(std::string_view name);

/// Where a finding was made: "runs/a.pth, state dict `state_dict`, 122 keys".
std::string place_of(const Case& facts);

/// "[64, 3, 7, 7]", or "" where the shape is not known.
std::string shape_of(const TensorSpec& spec);

}  // namespace tenon::diagnosis
