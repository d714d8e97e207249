// The precision report: what a change of dtype does to the values, before it is done.
//
// check() and load() measure what a load would do (Difference::dtype_changes, LoadReport::dtype_changes); these measure
// what adapt and convert would write.
#pragma once

#include <string>
#include <vector>

#include <tenon/diagnose.hpp>
#include <tenon/export.hpp>
#include <tenon/listing.hpp>
#include <tenon/plan.hpp>
#include <tenon/snapshot.hpp>

namespace tenon {

/// What the casts of `plan` do to the values of `checkpoint`, under the names that the plan gives. Reads the tensors
/// that are cast, and no others. `target` gives what a recipe takes from it. Without values at hand `loss` is empty.
/// Throws what rehearse() and Checkpoint::tensor throw.
TENON_API std::vector<DTypeChange> cast_losses(const Plan& plan, const Listing& checkpoint, const Listing& target);

/// Lets `snapshot` cast its floating and complex tensors to the floating `dtype` when they are saved (complex ones to
/// the complex type of that precision), and says beforehand what that does. The dtypes in its blueprint follow. Reads
/// every tensor that is cast. Throws Error Invalid where `dtype` is no floating type that tenon converts to.
TENON_API std::vector<DTypeChange> cast_floating(Snapshot& snapshot, DType dtype);

/// Lets `snapshot` compute float32 values for its tensors of block types when they are saved; the dtypes in its
/// blueprint follow. Returns the names of the types met, each once. Types that tenon cannot dequantise stay as they
/// are.
TENON_API std::vector<std::string> dequantize_blocks(Snapshot& snapshot);

/// True where some value would not come back, or was not looked at.
TENON_API bool loses_values(const std::vector<DTypeChange>& changes);

/// Tensors that saving in `format` writes row-major and that stand otherwise now: all that share no storage, and in
/// safetensors those as well.
TENON_API std::vector<LayoutChange> layout_changes(const Snapshot& snapshot, const Checkpoint& source, Format format);

}  // namespace tenon
