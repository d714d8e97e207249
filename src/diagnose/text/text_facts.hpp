// TextFacts: what an error text says, as facts. Made by read_text(), looked at by the rules.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include <tenon/diagnose.hpp>

namespace tenon::diagnosis {

/// What a loader complained of, beyond keys and shapes. One symptom may have several causes, and the causes' rules
/// weigh them.
enum class Symptom : std::uint8_t {
  CutArchive,       ///< no central directory, no end record
  DamagedArchive,   ///< an entry that cannot be read, a checksum
  LoadKey,          ///< the unpickler met a first byte that is no pickle; `detail` is that byte as Python prints it
  BadMagic,         ///< the legacy format's magic number
  EarlyEnd,         ///< the bytes end too soon
  StorageSize,      ///< a storage of another size than recorded
  BadHeader,        ///< safetensors' header
  StateDictToJit,   ///< a torch.save file where a TorchScript archive is wanted
  ArchiveToPickle,  ///< a TorchScript or LibTorch archive where a torch.save file is wanted
  ObjectNotDict,    ///< a module or other object where a state dict is wanted; `detail`: its class
  DictNotModule,    ///< a state dict where a module is wanted; `detail`: what was asked of it
  AbsentMember,     ///< KeyError for a part of the loaded dict; `detail`: the key
  OtherDType,       ///< operands or tensors of two dtypes; `detail`: which
};

struct Sighting {
  Symptom symptom;
  std::string detail;
  std::string excerpt;  ///< the words of the text, for evidence
};

struct TextFacts {
  std::string target_class;  ///< `ResNet` of "loading state_dict for ResNet"
  std::vector<std::string> missing;
  std::vector<std::string> unexpected;
  std::vector<Mismatch> mismatched;
  std::vector<Sighting> sightings;
  bool is_cut = false;  ///< a list ends in "..."

  bool tells_keys() const { return !missing.empty() || !unexpected.empty() || !mismatched.empty(); }
  bool tells_failure() const { return tells_keys() || !sightings.empty(); }
  const Sighting* find(Symptom symptom) const {
    for (const Sighting& sighting : sightings)
      if (sighting.symptom == symptom) return &sighting;
    return nullptr;
  }
};

/// Reads an error text with whatever surrounds it: traceback, log prefixes, colour codes, CRLF, typographic quotes, any
/// bytes. Never throws for the text's sake. O(length).
TextFacts read_text(std::string_view text);

/// The two sides as far as the text shows them.
Listing checkpoint_shown(const TextFacts& facts);
Listing target_shown(const TextFacts& facts);

}  // namespace tenon::diagnosis
