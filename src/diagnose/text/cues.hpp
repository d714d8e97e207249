// Cues: the words with which any program says that a tensor is not there, or not wanted.
#pragma once

#include <cstddef>
#include <string_view>
#include <vector>

namespace tenon::diagnosis {

struct CuePlace {
  std::size_t at = 0;
  bool is_unwanted = false;  ///< the file has it and the model does not take it; the reverse otherwise
};

/// Where the cues of a line in lower case stand, from left to right; of two at one place the longer one speaks.
std::vector<CuePlace> cues_in(std::string_view plain);

}  // namespace tenon::diagnosis
