// Families of names: what a tensor is for, told by the field's words for it. Words of single projects have no place
// here.
#pragma once

#include <cstdint>
#include <string_view>

namespace tenon::diagnosis {

enum class Family : std::uint8_t {
  None,
  BatchCounter,    ///< num_batches_tracked: no file older than PyTorch 0.4.1 has it
  NormStatistics,  ///< running_mean, running_var
  Derived,         ///< buffers that the code computes: position_ids, attn_mask, inv_freq, masks, counters of tools
  NormNames,       ///< gamma and beta of a normalisation
  WeightNorm,      ///< weight_g, weight_v, parametrizations.weight.original0, weight_orig, weight_u
  Quantised,       ///< absmax, qweight, zero_point, input_scale, ...
  Adapter,         ///< lora_A, lora_B, ia3, ...
  Copy,            ///< a second copy of the weights: an average, a teacher, a momentum encoder
  Training,        ///< losses, critics, queues, projectors: what only training needs
  Shard,           ///< _flat_param, _fsdp_..., local shards
  ExtraState,      ///< get_extra_state's entry
};

/// The family of a name, by its leaf first and then by the words of its path.
Family family_of(std::string_view name);

bool is_normalisation(std::string_view module);  ///< called bn, norm, LayerNorm, ...
bool is_position_table(std::string_view name);   ///< depends on the size of the input: pos_embed, rel_pos, ...
bool is_tied_name(std::string_view name);        ///< an output layer or embedding that is usually tied to another
bool is_plain_leaf(std::string_view leaf);       ///< weight, bias and what normalisations have

}  // namespace tenon::diagnosis
