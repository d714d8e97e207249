// What a TorchScript archive tells of its function: the modules that it holds, the constants of their classes, the
// operations in the code of `forward`. The code is read, never run.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include <tenon/blueprint.hpp>
#include <tenon/checkpoint.hpp>
#include <tenon/listing.hpp>

namespace tenon::model {

/// The blueprint of a TorchScript archive, with `tensors` and their roles as the archive's classes declare them.
/// Nothing for other files, and where the code cannot be read: then `warnings` says why. Where only the operations
/// cannot be followed, the blueprint has no graph and `warnings` says why.
std::optional<Blueprint> script_blueprint(const Checkpoint& checkpoint, std::vector<TensorSpec> tensors,
                                          std::vector<std::string>& warnings);

}  // namespace tenon::model
