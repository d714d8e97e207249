// What Keras tells of two layers that do not belong together: their names and how many weights each has.
#pragma once

#include <string_view>

#include "diagnose/text/text_facts.hpp"

namespace tenon::diagnosis {

/// `Layer #1 (named "bidirectional_1" in the current model) was found to correspond to layer embedding_1 in the save
/// file`: adds whether the two are layers of one kind, of two, or one kind as releases of two ages call it.
void read_layer_pair(std::string_view text, TextFacts& facts);

}  // namespace tenon::diagnosis
