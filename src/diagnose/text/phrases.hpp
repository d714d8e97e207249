// The tables of fixed phrases: what programs print, and the symptom that it is. One table for each part of the field,
// each in a file of its own; a new message is a new row.
#pragma once

#include <span>
#include <string_view>

#include "diagnose/text/symptom.hpp"

namespace tenon::diagnosis {

struct Phrase {
  std::string_view words;  ///< four bytes or more
  Symptom symptom;
  std::string_view detail_end = {};  ///< the detail is what follows up to one of these characters; "" if there is none
};

std::span<const Phrase> file_phrases();       ///< bytes, formats, versions, kinds of object
std::span<const Phrase> code_phrases();       ///< classes, modules, unpickling's safety
std::span<const Phrase> saving_phrases();     ///< pickling, disks, names, shared memory
std::span<const Phrase> runtime_phrases();    ///< devices, dtypes, optimizers, quantisation, adapters, shards
std::span<const Phrase> framework_phrases();  ///< Keras, TensorFlow, LibTorch, other languages, prose

}  // namespace tenon::diagnosis
