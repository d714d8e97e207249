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
std::optional<Finding> find_missing_class(const Case& facts);
std::optional<Finding> find_format_version(const Case& facts);
std::optional<Finding> find_unsafe_pickle(const Case& facts);
std::optional<Finding> find_sharded_distributed(const Case& facts);
std::optional<Finding> find_quantized(const Case& facts);
std::optional<Finding> find_adapter_weights(const Case& facts);
std::optional<Finding> find_version_drift(const Case& facts);
std::optional<Finding> find_training_only_extras(const Case& facts);
std::optional<Finding> find_fused_or_split(const Case& facts);
std::optional<Finding> find_layout_changed(const Case& facts);
std::optional<Finding> find_resolution_changed(const Case& facts);
std::optional<Finding> find_vocab_changed(const Case& facts);
std::optional<Finding> find_input_channels_changed(const Case& facts);
std::optional<Finding> find_renamed_modules(const Case& facts);
std::optional<Finding> find_new_modules(const Case& facts);
std::optional<Finding> find_different_config(const Case& facts);
std::optional<Finding> find_different_architecture(const Case& facts);
std::optional<Finding> find_optimizer_state(const Case& facts);
std::optional<Finding> find_device_mismatch(const Case& facts);
std::optional<Finding> find_cpp_interop(const Case& facts);
std::optional<Finding> find_unpicklable(const Case& facts);
std::optional<Finding> find_save_io(const Case& facts);
std::optional<Finding> find_name_collision(const Case& facts);
std::optional<Finding> find_dtype_mismatch(const Case& facts);
std::optional<Finding> find_custom_layer_state(const Case& facts);
std::optional<Finding> find_parameter_free_change(const Case& facts);
std::optional<Finding> find_tied_or_shared(const Case& facts);
std::optional<Finding> find_silent_wrong(const Case& facts);
std::optional<Finding> find_environment_changed(const Case& facts);
std::optional<Finding> find_custom_state_in_text(const Case& facts);
std::optional<Finding> find_tie_in_text(const Case& facts);
std::optional<Finding> find_silent_wrong_in_text(const Case& facts);

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
    {"missing_class", "unpickling or building needs a class, module or operator that is not there", find_missing_class},
    {"format_version", "the format is newer or older than the reader", find_format_version},
    {"unsafe_pickle", "the reader refuses what the pickle would call", find_unsafe_pickle},
    {"sharded_distributed", "one process's part, or a placeholder, of what was spread over many",
     find_sharded_distributed},
    {"quantized", "quantised tensors and their scales against plain ones", find_quantized},
    {"adapter_weights", "low-rank adapters without their base, or built otherwise", find_adapter_weights},
    {"version_drift", "another release of a library has other buffers or names", find_version_drift},
    {"training_only_extras", "parts that only training needs", find_training_only_extras},
    {"fused_or_split", "one tensor here is several there", find_fused_or_split},
    {"layout_changed", "axes in another order, or of one element more or less", find_layout_changed},
    {"resolution_changed", "tables that follow from the size of the input", find_resolution_changed},
    {"vocab_changed", "a table of tokens, symbols or classes has other rows", find_vocab_changed},
    {"input_channels_changed", "the first layer takes another number of channels", find_input_channels_changed},
    {"head_changed", "the last layer is for another task: other classes, or another name", find_head_changed, 2},
    {"renamed_modules", "the same tensors under other names", find_renamed_modules},
    {"dtype_mismatch", "the same tensors in another type of number", find_dtype_mismatch},
    {"device_mismatch", "tensors of a device that is not here, or on two devices", find_device_mismatch},
    {"optimizer_state", "the optimizer's state does not fit the parameters", find_optimizer_state},
    {"cpp_interop", "C++ or another language cannot read what Python wrote, or the reverse", find_cpp_interop},
    {"unpicklable", "the object holds what cannot be written", find_unpicklable},
    {"save_io", "disk, permissions, paths, locks, size limits", find_save_io},
    {"name_collision", "two tensors want one name in the file", find_name_collision},
};

/// The first rule of the table that compares shapes under equal names: the origins of tensors (origins/) are settled
/// before it.
inline constexpr std::string_view kFirstOnShapes = "version_drift";

// Asked of a text alone, before the keys: what a text shows of causes that whole listings show in another way.
inline constexpr Rule kTextRules[] = {
    {"custom_layer_state", "a module keeps state where no state dict looks", find_custom_state_in_text},
    {"tied_or_shared", "weights that were one tensor are two, or the reverse", find_tie_in_text},
    {"silent_wrong", "everything fits, and the outputs are others", find_silent_wrong_in_text},
};

// Asked when the names are settled: then modules of both blueprints can be laid side by side.
inline constexpr Rule kFunctionRules[] = {
    {"custom_layer_state", "a module keeps state where no state dict looks", find_custom_layer_state},
    {"parameter_free_change", "layers, options or operations without tensors differ", find_parameter_free_change},
    {"tied_or_shared", "weights that were one tensor are two, or the reverse", find_tied_or_shared},
    {"silent_wrong", "everything fits, and the outputs are others", find_silent_wrong, 1, Speaks::WhenUnexplained},
    {"environment_changed", "another version, device or setting that can show in a result", find_environment_changed},
};

// Asked last: what is left after everything else.
inline constexpr Rule kLastRules[] = {
    {"new_modules", "the model has parts that the checkpoint never had", find_new_modules},
    {"different_config", "the same architecture with other options", find_different_config},
    {"different_architecture", "another model or variant altogether", find_different_architecture},
};

}  // namespace tenon::diagnosis
