// What the arguments of operations are called, so that one call has one form whichever release printed it: releases
// after 1.9 leave defaults out, tracing prints `_convolution` where scripting prints `conv2d`.
#pragma once

#include <string>
#include <string_view>

#include <nlohmann/json.hpp>

#include <tenon/blueprint.hpp>

namespace tenon::model::script {

/// Gives a known operation's arguments their names and fills defaults in. `args` stands by position, tensors as null;
/// keywords are objects of one member at its end. Afterwards all are keywords, sorted. Unknown operations keep what
/// they have, without the nulls around it.
void name_arguments(std::string& op, nlohmann::json& args);

/// What an operation's named arguments say as options of a layer that runs only it: all but what the mode decides.
JsonMembers options_of(const GraphNode& node);

/// Operations that give their first operand on: `detach`, `contiguous`, ...
bool passes_on(std::string_view op);
/// Operations on tensors that give no tensor: `size`, `dim`, `len`, ...
bool tells_no_tensor(std::string_view op);
/// Operations that make a tensor of none.
bool makes_tensor(std::string_view op);

}  // namespace tenon::model::script
