// Readers of the archives that PyTorch writes: torch.save's zip, torch.jit.save's TorchScript, LibTorch's torch::save.
#pragma once

#include <memory>

#include "container/zip_reader.hpp"
#include "formats/core.hpp"

namespace tenon::formats {

/// Full name of the entry that ends in `data.pkl`, e.g. `archive/data.pkl`; "" when the archive is none of PyTorch's.
std::string find_data_pickle(const container::ZipReader& zip);

/// Throws Error: Corrupt (with member and byte), Limit, Unsupported.
std::shared_ptr<CheckpointCore> open_torch_zip(const OpenRequest& request, const container::ZipReader& zip);

}  // namespace tenon::formats
