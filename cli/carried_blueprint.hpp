// The blueprint of what adapt writes: what remains true when a checkpoint's tensors were made to fit a model.
#pragma once

#include <string>
#include <vector>

#include <tenon/listing.hpp>
#include <tenon/plan.hpp>

namespace tenon::cli {

/// The JSON text to store in the result, "" where none is true of it; `notes` says what was carried over and what was
/// left out.
///
/// A result that fits the target is the target's model: it gets the target's blueprint, and the checkpoint's as its
/// parent with what changed. Outputs of a probe hold only for the weights that made them: the target's are left out,
/// the checkpoint's stay where the plan changed nothing and both blueprints say one architecture.
std::string carried_blueprint(const ApplyResult& result, const Plan& plan, const Listing& checkpoint,
                              const Listing& target, std::vector<std::string>& notes);

}  // namespace tenon::cli
