// The walk through the code of `forward` (where there is none, of the methods that there are): what operations it
// names, in order, with their literal arguments, and which weights and results feed which. Nothing is computed but what
// literals decide.
//
//   submodule calls      followed, the module's path going with them
//   functions            followed
//   `if` of a literal    its branch only; `training` is False: the graph is that of evaluation
//   another `if`         both branches; a value that differs comes out of an operation `if`
//   `for`, `while`       followed round by round where a literal says how often (up to 64), else once; a value that
//                        a round changes comes out of an operation `loop`
//   sizes                texts: `size(0)`
#pragma once

#include <tenon/blueprint.hpp>

#include "model/script/constants.hpp"
#include "model/script/objects.hpp"
#include "model/script/syntax.hpp"

namespace tenon::model::script {

/// The operations of `forward`; `recorder` is left empty. Nothing where the archive's class has no methods.
/// Throws Error Limit (too many operations or steps; functions that call each other too deeply), Corrupt (constants).
std::optional<Graph> walk_forward(const Program& program, const ScriptObjects& objects, ScriptConstants& constants);

}  // namespace tenon::model::script
