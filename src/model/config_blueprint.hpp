// What a `config.json` beside weights tells: the class, and the hyper-parameters as options of the model itself.
//
// Known forms: transformers (`architectures`, `model_type`), diffusers (`_class_name`), and any object of plain values.
// Objects within it are flattened: `text_config.hidden_size`. Left out is what decides no function: names of files and
// releases, texts for labels, dtypes (the tensors have theirs), defaults of text generation and of training.
#pragma once

#include <string>
#include <string_view>

#include <tenon/blueprint.hpp>
#include <tenon/limits.hpp>

namespace tenon::model {

/// A blueprint without tensors, source `config`. Throws Error: Corrupt (no JSON object; with byte), Limit.
Blueprint config_blueprint(std::string_view text, const std::string& file, const Limits& limits = {});

}  // namespace tenon::model
