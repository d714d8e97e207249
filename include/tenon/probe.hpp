// What a run leaves in a blueprint: samples and digests of tensors, and fingerprints of the weights it ran with.
//
// docs/formats/blueprint.md has the rules; python/tenon_blueprint.py follows the same ones, so that both compare.
#pragma once

#include <cstdint>
#include <string>

#include <tenon/blueprint.hpp>
#include <tenon/export.hpp>
#include <tenon/tensor.hpp>

namespace tenon {

/// An input or output, any dtype of whole bytes: SHA-256 of its dense bytes, 64 samples, scale. Inputs of at
/// most 4,096 elements are kept whole. O(elements) time for the digest. Throws Error Unsupported for types without
/// numbers.
TENON_API ProbeTensor probe_input(std::string name, const TensorView& view);
TENON_API ProbeTensor probe_output(std::string name, const TensorView& view);
/// The output of a submodule or an operation: 64 samples, without digest. O(1) in the tensor's size.
TENON_API ProbeTensor probe_sample(std::string name, const TensorView& view);
/// Sums over at most 1,024 elements of a weight. O(1) in the tensor's size.
TENON_API Fingerprint fingerprint(std::string name, const TensorView& view);

/// Gives every output its tolerance, by its own scale and by that of the tensors it was made of.
TENON_API void set_tolerances(Probe& probe);

/// Notes outputs whose rows are not the input's ("25 rows in, 36 rows out (output 0)") in `probe.findings`.
TENON_API void note_other_batch(Probe& probe);

}  // namespace tenon
