// Which framework made a blueprint.
#pragma once

#include <string>

#include <tenon/blueprint.hpp>

namespace tenon::diagnosis {

/// `torch 2.4.0`; "" where the blueprint does not say.
std::string framework_of(const Blueprint& blueprint);

/// What wrote a `config.json`: `4.38.2` of transformers; "" where the blueprint does not say. Releases add options.
std::string config_writer_of(const Blueprint& blueprint);

/// `torch 2.4.0+cu121` -> `torch 2.4`: patch releases and builds do not change what operators compute.
std::string release(const std::string& framework);

}  // namespace tenon::diagnosis
