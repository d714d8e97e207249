// Which stored tensor goes into which live one, decided on names, shapes and dtypes before any value is read.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include <tenon/diagnose.hpp>
#include <tenon/listing.hpp>
#include <tenon/plan.hpp>
#include <tenon/tensor.hpp>

namespace tenon::torch_bridge {

struct Pair {
  std::size_t wanted = 0;  ///< index into the target's listing
  Planned planned;         ///< how its values come about
};

struct Match {
  std::vector<Pair> pairs;
  Difference difference;             ///< dtype_changes stay empty: they need values
  std::vector<std::string> kept;     ///< wanted names that the plan leaves with the model's own values
  std::vector<std::string> dropped;  ///< the checkpoint's names that the plan leaves out
};

/// Carries out the names of `plan` and pairs what is left with what is wanted. Throws what rehearse() throws.
Match match(const Plan& plan, const Listing& checkpoint, const Listing& wanted);

/// The values of one planned tensor; checksums are verified when a stored tensor is first touched.
Tensor values_of(const Listing& checkpoint, const Planned& planned);

/// A pair whose dtypes differ, with the loss of the change measured; needs types that convert.
/// Throws Error Unsupported, naming the key, where they do not.
DTypeChange measure(const TensorSpec& wanted, const TensorView& stored);

/// `2 missing (a, b), 1 mismatched (c)`.
std::string in_words(const Difference& difference);

}  // namespace tenon::torch_bridge
