// A folder as a listing: `config.json` and one file of weights, as transformers, diffusers and many others write it.
#pragma once

#include <string>

#include <tenon/listing.hpp>

namespace tenon::model {

/// True where the folder has a `config.json`.
bool has_config(const std::string& folder);

/// The tensors of the folder's weights, with what its configuration tells as their blueprint, unless the weights carry
/// one. A configuration that cannot be read is told in `blueprint_problem`. Throws what open() throws, and Error
/// Unsupported where no single file of weights can be told.
Listing list_folder(const std::string& folder, const OpenOptions& options);

}  // namespace tenon::model
