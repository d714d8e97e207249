// Listing: the tensors that one side of a load offers (a checkpoint) or wants (a model: the target).
//
// Both sides have the same form, so that a blueprint, a checkpoint and a live module can stand on either.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <tenon/blueprint.hpp>
#include <tenon/checkpoint.hpp>
#include <tenon/export.hpp>

namespace tenon {

struct Listing {
  std::string label;                           ///< file name or class, for messages
  std::vector<TensorSpec> tensors;             ///< in registration or file order
  std::optional<Checkpoint> values;            ///< where the bytes are, if this side has any
  std::vector<std::string> value_names;        ///< beside `tensors` when `values` is set: the name in `values` of each
  std::string state_dict;                      ///< path of the state dict taken out of `values`; "" for the top
  std::shared_ptr<const Blueprint> blueprint;  ///< what is known beyond the tensors; null if nothing
  std::string blueprint_problem;               ///< why the blueprint in or beside the file cannot be read; "" if it can
  std::string class_name;                      ///< of the model, where known
  std::vector<std::string> warnings;           ///< what could not be told of the function, and why
};

/// All tensors of a checkpoint under their full names.
///
/// A TorchScript archive without a stored blueprint gets one from its own code, which is read and never run; where that
/// cannot be read, the listing says why in `warnings`.
TENON_API Listing list(const Checkpoint& checkpoint);

/// Only the tensors below the state dict `path`, with the path taken off their names.
/// Throws Error NotFound when nothing stands there.
TENON_API Listing list(const Checkpoint& checkpoint, std::string_view path);

/// What a blueprint names: a listing without values.
TENON_API Listing list(Blueprint blueprint, const std::string& label);

/// Reads a blueprint (`*.blueprint.json`, schema tenon.blueprint/1): all of it.
/// Throws Error: NotFound, Read, Corrupt (with byte), Limit.
TENON_API Listing read_blueprint(const std::string& path, const Limits& limits = {});

/// Reads whatever names the tensors a model has: a checkpoint, a blueprint, or a folder with a `config.json` and one
/// file of weights, told apart by content. Throws what open() throws.
TENON_API Listing read_listing(const std::string& path, const OpenOptions& options = {});

}  // namespace tenon
