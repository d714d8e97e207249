// PyTorch zip, the writing half: nested containers, plain objects and tensors as torch.load(weights_only=True) reads
// them.
#pragma once

#include "formats/writer.hpp"

namespace tenon::formats {

/// The record that holds the blueprint, beside data.pkl.
inline constexpr std::string_view kBlueprintRecord = "tenon.blueprint.json";

/// Throws Error Refused: dtypes or objects that the format cannot hold, two tensors under one name.
Layout lay_out_torch_zip(const WriteRequest& request);

}  // namespace tenon::formats
