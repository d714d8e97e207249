// What a TorchScript archive holds beside its object: the text of its classes, and the tensors that the text names.
//
//   R/code/__torch__/torch/nn/modules/linear.py   kept as text, never run
//   R/constants.pkl, R/constants/<n>              a tuple of tensors: `CONSTANTS.c0` is the first
//
// Source: torch/csrc/jit/serialization/export_module.cpp, import_source.cpp.
#pragma once

#include <string>

#include "container/zip_reader.hpp"
#include "formats/core.hpp"

namespace tenon::formats {

/// True when some file of the code defines a function. LibTorch's own saves declare attributes and define nothing.
bool has_method_bodies(const CheckpointCore& core);

/// Fills in `core.sources`. Text beyond a limit is left out, and `core.script_problem` says so.
/// `root` ends in a slash or is empty. Throws Error Corrupt for an entry whose checksum is wrong.
void read_sources(const container::ZipReader& zip, const std::string& root, CheckpointCore& core);

/// Reads `constants.pkl` into `core.constants`. What cannot be read is told in `core.script_problem`: the tensors of
/// the object do not need it.
void read_constants(const container::ZipReader& zip, const std::string& root, CheckpointCore& core);

}  // namespace tenon::formats
