// The table of recognisers: each knows one dialect in which programs complain, and adds what it finds to the facts.
#pragma once

#include <string>

#include "diagnose/text/text_facts.hpp"

namespace tenon::diagnosis {

/// The text made plain: valid UTF-8, no colour codes, straight quotes, every run of blanks one blank.
struct PlainText {
  std::string flat;   ///< line ends are blanks, too: sentences that a terminal wrapped are whole again
  std::string lined;  ///< line ends are kept as '\n': for lists and tables of one row a line
};

using Recognise = void (*)(const PlainText& text, TextFacts& facts);

void recognise_state_dict_errors(const PlainText& text, TextFacts& facts);  ///< PyTorch's load_state_dict, all versions
void recognise_key_lists(const PlainText& text, TextFacts& facts);          ///< other libraries' lists of names
void recognise_shape_pairs(const PlainText& text, TextFacts& facts);        ///< other libraries' words on one shape
void recognise_tables(const PlainText& text, TextFacts& facts);             ///< tables of keys: `key | ... | ...`
void recognise_symptoms(const PlainText& text, TextFacts& facts);           ///< messages that are fixed phrases
void recognise_sentences(const PlainText& text, TextFacts& facts);          ///< what no dialect's words are known of
void recognise_words(const PlainText& text, TextFacts& facts);              ///< the last resort: what a text is about

inline constexpr Recognise kRecognisers[] = {
    recognise_state_dict_errors, recognise_key_lists, recognise_shape_pairs, recognise_tables,
    recognise_symptoms,          recognise_sentences, recognise_words};

}  // namespace tenon::diagnosis
