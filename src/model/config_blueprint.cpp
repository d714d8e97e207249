#include "model/config_blueprint.hpp"

#include <algorithm>
#include <iterator>
#include <utility>

#include <nlohmann/json.hpp>

#include <tenon/error.hpp>

#include "base/limit_error.hpp"
#include "model/json_document.hpp"

namespace tenon::model {
namespace {

using Json = nlohmann::json;

/// Members that decide no function, wherever they stand.
constexpr std::string_view kCosmetic[] = {"architectures", "torch_dtype", "dtype",       "auto_map",
                                          "license",       "author",      "tags",        "language",
                                          "commit_hash",   "title",       "description", "url"};

/// What only transformers' own configurations mean so: labels, outputs, training, and text generation, which moved to
/// generation_config.json. Source: transformers PretrainedConfig, "Parameters".
constexpr std::string_view kOfTransformers[] = {"transformers_version",
                                                "id2label",
                                                "label2id",
                                                "finetuning_task",
                                                "task_specific_params",
                                                "problem_type",
                                                "use_cache",
                                                "return_dict",
                                                "output_attentions",
                                                "output_hidden_states",
                                                "torchscript",
                                                "tokenizer_class",
                                                "prefix",
                                                "use_bfloat16",
                                                "tf_legacy_loss",
                                                "gradient_checkpointing",
                                                "pretraining_tp",
                                                "initializer_range",
                                                "initializer_factor",
                                                "max_length",
                                                "min_length",
                                                "do_sample",
                                                "early_stopping",
                                                "num_beams",
                                                "num_beam_groups",
                                                "diversity_penalty",
                                                "temperature",
                                                "top_k",
                                                "top_p",
                                                "typical_p",
                                                "repetition_penalty",
                                                "length_penalty",
                                                "no_repeat_ngram_size",
                                                "encoder_no_repeat_ngram_size",
                                                "bad_words_ids",
                                                "num_return_sequences",
                                                "output_scores",
                                                "return_dict_in_generate",
                                                "forced_bos_token_id",
                                                "forced_eos_token_id",
                                                "remove_invalid_values",
                                                "exponential_decay_length_penalty",
                                                "suppress_tokens",
                                                "begin_suppress_tokens",
                                                "bos_token_id",
                                                "eos_token_id"};

bool is_in(const auto& names, const std::string& name) {
  return std::find(std::begin(names), std::end(names), name) != std::end(names);
}

bool is_of_transformers(const Json& document) {
  return document.contains("transformers_version") || document.contains("model_type") ||
         document.contains("architectures");
}

class OptionReader {
 public:
  OptionReader(const Json& document, const std::string& file, const Limits& limits)
      : file_(file), of_transformers_(is_of_transformers(document)), limits_(limits) {
    add(document, {});
    std::sort(options_.begin(), options_.end());
  }

  JsonMembers options() { return std::move(options_); }

 private:
  /// Names that begin with an underscore are the library's own: `_name_or_path`, `_diffusers_version`.
  bool is_cosmetic(const std::string& name) const {
    return name.starts_with("_") || is_in(kCosmetic, name) || (of_transformers_ && is_in(kOfTransformers, name));
  }

  /// Depth is bounded by the reader of the document.
  void add(const Json& object, const std::string& prefix) {
    for (const auto& [name, value] : object.items()) {
      if (is_cosmetic(name) || value.is_null()) continue;
      if (value.is_object() && !value.empty()) {
        add(value, prefix + name + ".");
        continue;
      }
      if (options_.size() >= limits_.config_members)
        throw base::limit_error({file_, {}, prefix + name, {}}, "the configuration has too many members",
                                {&Limits::config_members, limits_});
      options_.emplace_back(prefix + name, value.dump());
    }
  }

  const std::string& file_;
  const bool of_transformers_;
  const Limits& limits_;
  JsonMembers options_;
};

std::string text_in(const Json& document, const char* name) {
  const auto found = document.find(name);
  return found != document.end() && found->is_string() ? found->get<std::string>() : std::string();
}

std::string class_of(const Json& document) {
  const auto classes = document.find("architectures");
  if (classes != document.end() && classes->is_array() && !classes->empty() && classes->front().is_string())
    return classes->front().get<std::string>();
  for (const char* name : {"_class_name", "class", "class_name", "model_class", "architecture", "model_type"})
    if (std::string text = text_in(document, name); !text.empty()) return text;
  return "model";
}

std::string writer_of(const Json& document) {
  const std::string version = text_in(document, "transformers_version");
  return version.empty() ? text_in(document, "_diffusers_version") : version;
}

}  // namespace

Blueprint config_blueprint(std::string_view text, const std::string& file, const Limits& limits) {
  const JsonTree tree = parse_document(text, file, limits);
  const Json& document = tree.root;
  if (!document.is_object())
    throw Error(Code::Corrupt, {file, {}, {}, {}}, "the configuration is no JSON object", "{...}",
                document.type_name());
  Blueprint blueprint;
  blueprint.source = "config";
  blueprint.class_name = class_of(document);
  blueprint.modules.push_back({{}, blueprint.class_name, true, OptionReader(document, file, limits).options(), {}});
  if (const std::string writer = writer_of(document); !writer.empty())
    blueprint.environment.emplace_back("config_writer", as_json(writer));
  return blueprint;
}

}  // namespace tenon::model
