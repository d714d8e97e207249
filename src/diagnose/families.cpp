#include "diagnose/families.hpp"

#include <algorithm>
#include <span>
#include <string>
#include <unordered_map>

#include "diagnose/names.hpp"

namespace tenon::diagnosis {
namespace {

using Words = std::span<const std::string_view>;

constexpr std::string_view kDerivedLeaves[] = {"position_ids",
                                               "relative_position_index",
                                               "relative_coords_table",
                                               "attn_mask",
                                               "masked_bias",
                                               "inv_freq",
                                               "freqs",
                                               "freqs_cis",
                                               "freqs_cos",
                                               "freqs_sin",
                                               "cos_cached",
                                               "sin_cached",
                                               "causal_mask",
                                               "triu_mask",
                                               "anchor_grid",
                                               "anchors",
                                               "anchor_points",
                                               "_float_tensor",
                                               "mel_basis",
                                               "hann_window",
                                               "cell_anchors",
                                               "bias_mask",
                                               "tril",
                                               "token_type_ids",
                                               "rel_pos_index",
                                               "position_index",
                                               "rotary_freqs",
                                               "mask",
                                               "relative_position",
                                               "_dummy",
                                               "dummy_param",
                                               "tp",
                                               "fp",
                                               "fn",
                                               "tn",
                                               "embed_positions_float",
                                               "original_inv_freq",
                                               "cached_freqs",
                                               "version"};
constexpr std::string_view kDerivedParts[] = {"noises", "rotary_emb", "rope", "rotary"};
constexpr std::string_view kWeightNormLeaves[] = {"weight_g", "weight_v",    "original0", "original1", "weight_orig",
                                                  "weight_u", "weight_mask", "bias_g",    "bias_v"};
constexpr std::string_view kQuantLeaves[] = {"absmax",
                                             "quant_map",
                                             "nested_absmax",
                                             "nested_quant_map",
                                             "quant_state",
                                             "SCB",
                                             "CB",
                                             "weight_format",
                                             "zero_point",
                                             "zero_points",
                                             "zeros",
                                             "scale",
                                             "scales",
                                             "qweight",
                                             "qzeros",
                                             "g_idx",
                                             "input_scale",
                                             "output_scale",
                                             "weight_scale",
                                             "weight_scale_inv",
                                             "scale_inv",
                                             "weight_scale_2",
                                             "fake_quant_enabled",
                                             "observer_enabled",
                                             "min_val",
                                             "max_val",
                                             "_packed_params",
                                             "amax",
                                             "_amax",
                                             "pre_quant_scale",
                                             "_num_bits",
                                             "num_bits",
                                             "weight_fake_quant",
                                             "k_scale",
                                             "v_scale",
                                             "q_scale",
                                             "weight_zero_point",
                                             "weight_packed",
                                             "weight_shape",
                                             "act_scale",
                                             "activation_scale",
                                             "kv_cache_scaling_factor",
                                             "qbias",
                                             "input_zero_point",
                                             "smooth_scale",
                                             "dtype",
                                             "scale_act",
                                             "scale_weight",
                                             "scaled_fp8",
                                             "codebooks",
                                             "codes",
                                             "SU",
                                             "SV",
                                             "Qidxs",
                                             "in_scale",
                                             "out_scale"};
constexpr std::string_view kAdapterParts[] = {"lora",    "loha",     "lokr", "hada",      "ia3",
                                              "adapter", "adapters", "dora", "adaln_lora"};
constexpr std::string_view kAdapterLeaves[] = {"modules_to_save", "original_module", "prompt_embeddings", "lora_scale"};
constexpr std::string_view kCopyParts[] = {"ema", "shadow", "teacher", "swa", "averaged", "momentum"};
constexpr std::string_view kTrainingParts[] = {
    "criterion",    "criterions",  "loss",        "losses",       "perceptual", "lpips",     "discriminator",
    "disc",         "netd",        "critic",      "metric",       "metrics",    "aux",       "auxiliary",
    "auxlogits",    "projector",   "queue",       "queue_ptr",    "prototypes", "prototype", "memory",
    "bank",         "center",      "counter",     "optimizer",    "scheduler",  "epoch",     "step",
    "steps",        "pretrain",    "pretraining", "online",       "distill",    "student",   "evaluator",
    "camera",       "cameras",     "train",       "training",     "dice",       "bce",       "arcface",
    "last_layer",   "ptr",         "accuracy",    "confmat",      "fid",        "inception", "ssim",
    "denoiser_ema", "regularizer", "augment",     "augmentation", "sampler",    "dis",       "temp",
    "temperature",  "logvar",      "supervision", "contrastive"};
constexpr std::string_view kNormParts[] = {"bn",        "norm",         "layernorm", "batchnorm", "ln",           "gn",
                                           "groupnorm", "instancenorm", "rmsnorm",   "batch",     "normalization"};
constexpr std::string_view kPositionMarks[] = {"pos_emb",
                                               "pos_enc",
                                               "position_emb",
                                               "positional",
                                               "rel_pos",
                                               "relative_position",
                                               "relative_attention",
                                               "relative_coords",
                                               "time_embed",
                                               "temporal_embed",
                                               "temporal_pos",
                                               "embed_positions",
                                               "wpe",
                                               "absolute_pos",
                                               "position_bias",
                                               "rel_height",
                                               "rel_width",
                                               "rel_h",
                                               "rel_w",
                                               "attn_mask",
                                               "coords_table",
                                               "attention_bias_idxs",
                                               "attention_biases",
                                               "position_ids",
                                               "posembed",
                                               "pos_bias",
                                               "posemb"};
constexpr std::string_view kPositionWords[] = {"pos", "position", "positions"};
constexpr std::string_view kTiedEndings[] = {"lm_head.weight",
                                             "embed_tokens.weight",
                                             "predictions.decoder.weight",
                                             "predictions.decoder.bias",
                                             "shared.weight",
                                             "output_projection.weight",
                                             "embed_out.weight",
                                             "lm_head.decoder.weight",
                                             "lm_head.decoder.bias",
                                             "generator.weight",
                                             "proj_out.weight",
                                             "lm_head.bias",
                                             "word_embeddings.weight",
                                             "wte.weight",
                                             "tok_embeddings.weight",
                                             "predictions.bias",
                                             "embed_out.bias",
                                             "out_embed.weight",
                                             "word_lut.weight",
                                             "tgt_word_prj.weight",
                                             "tgt_word_emb.weight",
                                             "src_word_emb.weight"};
constexpr std::string_view kPlainLeaves[] = {"weight", "bias",  "running_mean", "running_var", "num_batches_tracked",
                                             "kernel", "gamma", "beta"};

bool is_among(std::string_view word, Words list) { return std::find(list.begin(), list.end(), word) != list.end(); }

/// What a word of a name, or its leaf, says.
enum Sign : unsigned {
  kAdapterPart = 1,
  kCopyPart = 2,
  kDerivedPart = 4,
  kTrainingPart = 8,
  kAdapterLeaf = 16,
  kDerivedLeaf = 32,
  kWeightNormLeaf = 64,
  kQuantLeaf = 128,
};
using Signs = std::unordered_map<std::string_view, unsigned>;

/// All lists in one table: a checkpoint has many names, and each is asked for every family.
unsigned signs_of(std::string_view word, const Signs& table) {
  const auto found = table.find(word);
  return found == table.end() ? 0 : found->second;
}

Signs signs(std::initializer_list<std::pair<Words, unsigned>> lists) {
  Signs table;
  for (const auto& [words, sign] : lists)
    for (const std::string_view word : words) table[word] |= sign;
  return table;
}

const Signs& part_signs() {
  static const auto* made = new Signs(signs({{kAdapterParts, kAdapterPart},
                                             {kCopyParts, kCopyPart},
                                             {kDerivedParts, kDerivedPart},
                                             {kTrainingParts, kTrainingPart}}));
  return *made;
}

const Signs& leaf_signs() {
  static const auto* made = new Signs(signs({{kAdapterLeaves, kAdapterLeaf},
                                             {kDerivedLeaves, kDerivedLeaf},
                                             {kWeightNormLeaves, kWeightNormLeaf},
                                             {kQuantLeaves, kQuantLeaf}}));
  return *made;
}

char lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; }

/// Calls `take(word)` for each word in lower case: parted at `.`, `_`, `-`, `/` and humps; digits at the end are left
/// out.
template <class Take>
bool any_word(std::string_view name, Take take) {
  std::string word;
  char before = 0;
  const auto flush = [&] {
    while (!word.empty() && word.back() >= '0' && word.back() <= '9') word.pop_back();
    const bool is_hit = !word.empty() && take(std::string_view(word));
    word.clear();
    return is_hit;
  };
  for (const char c : name) {
    const bool is_separator = c == '.' || c == '_' || c == '-' || c == '/';
    const bool is_hump = c >= 'A' && c <= 'Z' && before >= 'a' && before <= 'z';
    if ((is_separator || is_hump) && flush()) return true;
    if (!is_separator) word += lower(c);
    before = c;
  }
  return flush();
}

bool has_word(std::string_view name, Words list) {
  return any_word(name, [&](std::string_view word) { return is_among(word, list); });
}

/// What the words of a name say together.
unsigned signs_in(std::string_view name) {
  unsigned all = 0;
  any_word(name, [&](std::string_view word) {
    all |= signs_of(word, part_signs());
    return false;
  });
  return all;
}

bool has_part(std::string_view name, std::string_view mark) { return name.find(mark) != std::string_view::npos; }

/// Vector quantisation is no quantised weight.
bool is_quantised(std::string_view name, std::string_view leaf, unsigned signs) {
  const bool is_leaf = (signs & kQuantLeaf) != 0;
  if (has_part(name, "codebook") || has_part(name, "embed") || has_part(name, "vector_quant"))
    return is_leaf && leaf != "scale";
  if (is_leaf) return true;
  if (leaf.starts_with("bitsandbytes__") || has_part(name, "quant_state") || has_part(name, "activation_post_process"))
    return true;
  return has_part(name, "uantizer") || has_part(name, "_quant.") || has_part(name, "fake_quant") ||
         has_part(name, "quant_") || has_part(name, "_output_scale.");
}

bool is_weight_norm(std::string_view name, unsigned signs) {
  return (signs & kWeightNormLeaf) != 0 || has_part(name, "parametrizations.");
}

bool is_adapter(std::string_view name, unsigned signs) {
  return (signs & (kAdapterPart | kAdapterLeaf)) != 0 || has_part(name, ".base_layer.") ||
         has_part(name, "modules_to_save") || has_part(name, "prefix_encoder");
}

}  // namespace

Family family_of(std::string_view name) {
  const std::string_view leaf = leaf_of(name);
  if (leaf == "num_batches_tracked") return Family::BatchCounter;
  if (has_part(name, "_flat_param") || has_part(name, "flat_param_") || has_part(name, "_fsdp_wrapped_module"))
    return Family::Shard;
  if (leaf == "_extra_state") return Family::ExtraState;
  const unsigned signs = signs_of(leaf, leaf_signs()) | signs_in(name);
  if (is_quantised(name, leaf, signs)) return Family::Quantised;
  if (is_adapter(name, signs)) return Family::Adapter;
  if ((signs & kCopyPart) != 0) return Family::Copy;
  if (is_weight_norm(name, signs)) return Family::WeightNorm;
  if ((signs & kDerivedLeaf) != 0 || ((signs & kDerivedPart) != 0 && leaf != "weight" && leaf != "bias"))
    return Family::Derived;
  if (leaf == "total_ops" || leaf == "total_params") return Family::Training;  // a profiler's counters
  const auto is_auxiliary = [](std::string_view word) { return word.starts_with("aux"); };
  if ((signs & kTrainingPart) != 0 || any_word(name, is_auxiliary)) return Family::Training;
  if ((leaf == "gamma" || leaf == "beta") && is_normalisation(module_of(name))) return Family::NormNames;
  if (leaf == "running_mean" || leaf == "running_var") return Family::NormStatistics;
  return Family::None;
}

bool is_normalisation(std::string_view module) { return has_word(leaf_of(module), kNormParts); }

bool is_position_table(std::string_view name) {
  return std::any_of(std::begin(kPositionMarks), std::end(kPositionMarks),
                     [&](std::string_view mark) { return has_part(name, mark); }) ||
         leaf_of(name) == "pe" || name.ends_with(".pe.weight") ||
         (has_part(name, "emb") && has_word(name, kPositionWords));
}

bool is_tied_name(std::string_view name) {
  return std::any_of(std::begin(kTiedEndings), std::end(kTiedEndings), [&](std::string_view ending) {
    return name == ending || (name.ends_with(ending) && name[name.size() - ending.size() - 1] == '.');
  });
}

bool is_plain_leaf(std::string_view leaf) { return is_among(leaf, kPlainLeaves); }

}  // namespace tenon::diagnosis
