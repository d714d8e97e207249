#include "diagnose/text/cues.hpp"

#include <algorithm>

namespace tenon::diagnosis {
namespace {

struct Cue {
  std::string_view words;
  bool is_unwanted;
};
constexpr Cue kCues[] = {
    // of cues that begin alike, the longer one first
    {"unexpected", true},
    {"unused", true},
    {"not used", true},
    {"not needed", true},
    {"no parameter", true},
    {"not have a parameter", true},
    {"not in model", true},
    {"not in the model", true},
    {"not part of the model", true},
    {"not expected", true},
    {"only in the checkpoint", true},
    {"only in checkpoint", true},
    {"only in the file", true},
    {"unknown", true},
    {"not exist in model", true},
    {"not exist in the model", true},
    {"not found in model", true},
    {"not found in the model", true},
    {"not present in the model", true},
    {"unrecognized", true},
    {"unmatched", true},
    {"surplus", true},
    {"superfluous", true},
    {"redundant", true},
    {"extra ", true},
    {"left over", true},
    {"not loaded keys", true},
    {"ignored", true},
    {"ignoring", true},
    {"drop parameter", true},
    {"dropped", true},
    {"missing", false},
    {"not found", false},
    {"not find", false},
    {"cannot find", false},
    {"can't find", false},
    {"no such", false},
    {"not present", false},
    {"not exist", false},
    {"doesn't exist", false},
    {"not contain", false},
    {"absent", false},
    {"not in ", false},
    {"no key", false},
    {"notfound", false},
    {"no tensor", false},
    {"not loaded", false},
    {"not initialized", false},
    {"newly initialized", false},
    {"uninitialized", false},
    {"randomly initialized", false},
    {"only in the model", false},
    {"only in model", false},
    {"lacks", false},
};

}  // namespace

std::vector<CuePlace> cues_in(std::string_view plain) {
  std::vector<CuePlace> places;
  for (const Cue& cue : kCues)
    for (auto at = plain.find(cue.words); at != std::string_view::npos; at = plain.find(cue.words, at + 1))
      if (std::none_of(places.begin(), places.end(), [&](const CuePlace& other) { return other.at == at; }))
        places.push_back({at, cue.is_unwanted});
  std::sort(places.begin(), places.end(), [](const CuePlace& a, const CuePlace& b) { return a.at < b.at; });
  return places;
}

}  // namespace tenon::diagnosis
