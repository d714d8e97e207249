// The table of causes, in the order in which they are asked. A new cause is one file in causes/, one declaration and
// one row here, one page docs/causes/<id>.md, and its golden folder.
#pragma once

#include <cstdint>
#include <string_view>

#include "diagnose/case.hpp"

namespace tenon::diagnosis {

std::optional<Finding> find_corrupt_file(const Case& facts);
std::optional<Finding> find_wrong_object(const Case& facts);
std::optional<Finding> find_nested_container(const Case& facts);
std::optional<Finding> find_wrapper_prefix(const Case& facts);
std::optional<Finding> find_head_changed(const Case& facts);
std::optional<Finding> find_dtype_mismatch(const Case& facts);
std::optional<Finding> find_custom_layer_state(const Case& facts);
std::optional<Finding> find_parameter_free_change(const Case& facts);
std::optional<Finding> find_tied_or_shared(const Case& facts);
std::optional<Finding> find_silent_wrong(const Case& facts);
std::optional<Finding> find_environment_changed(const Case& facts);

/// What another cause of the same table explains is not said twice.
enum class Speaks : std::uint8_t { Always, WhenUnexplained };

struct Rule {
  std::string_view id;
  std::string_view title;
  Find find;
  int rounds = 1;  ///< how often it may find its cause in one case: a wrapper within a wrapper
  Speaks speaks = Speaks::Always;
};

// What is the file - is it whole - which object - unwrap - prefix - head - dtypes. A loud difference is often a
// follow-up of an earlier question: a wrapped state dict shows every key missing, and no question about keys makes
// sense before it is unwrapped.
inline constexpr Rule kRules[] = {
    {"corrupt_file", "the file is cut, damaged, or another download than it should be", find_corrupt_file},
    {"wrong_object", "the file holds another kind of object than a state dict", find_wrong_object},
    {"nested_container", "the state dict stands inside another dict", find_nested_container, 2},
    {"wrapper_prefix", "a wrapper added a prefix to every name, or took one off", find_wrapper_prefix, 3},
    {"head_changed", "the last layer is for another task: other classes, or another name", find_head_changed, 2},
    {"dtype_mismatch", "the same tensors in another type of number", find_dtype_mismatch},
};

/// The first rule of the table that compares shapes under equal names: the origins of tensors (origins/) are settled
/// before it.
inline constexpr std::string_view kFirstOnShapes = "head_changed";

// Asked when the names are settled: then modules of both blueprints can be laid side by side.
inline constexpr Rule kFunctionRules[] = {
    {"custom_layer_state", "a module keeps state where no state dict looks", find_custom_layer_state},
    {"parameter_free_change", "layers, options or operations without tensors differ", find_parameter_free_change},
    {"tied_or_shared", "weights that were one tensor are two, or the reverse", find_tied_or_shared},
    {"silent_wrong", "everything fits, and the outputs are others", find_silent_wrong, 1, Speaks::WhenUnexplained},
    {"environment_changed", "another version, device or setting that can show in a result", find_environment_changed},
};

}  // namespace tenon::diagnosis
