// The table of recognisers: each knows one dialect in which programs complain, and adds what it finds to the facts.
#pragma once

#include <span>
#include <string_view>

#include "diagnose/text/text_facts.hpp"

namespace tenon::diagnosis {

/// `text` is plain: valid UTF-8, no colour codes, straight quotes, every run of white space one space.
using Recognise = void (*)(std::string_view text, TextFacts& facts);

void recognise_state_dict_errors(std::string_view text, TextFacts& facts);  ///< PyTorch's load_state_dict, all versions
void recognise_symptoms(std::string_view text, TextFacts& facts);           ///< messages that are fixed phrases

inline constexpr Recognise kRecognisers[] = {recognise_state_dict_errors, recognise_symptoms};

}  // namespace tenon::diagnosis
