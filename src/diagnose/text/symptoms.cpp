// Messages that are fixed phrases: a table of them and of the symptoms they show.
//
// Source of the phrases: torch/serialization.py, caffe2/serialize/inline_container.cc, torch/csrc/jit (1.6 to 2.x),
// CPython's pickle and zipfile, the safetensors library.
#include <algorithm>

#include "base/utf8.hpp"
#include "diagnose/text/recognisers.hpp"
#include "diagnose/text/scanner.hpp"

namespace tenon::diagnosis {
namespace {

constexpr std::size_t kExcerptBytes = 120;
constexpr std::size_t kMaxDetailBytes = 200;

struct Phrase {
  std::string_view words;
  Symptom symptom;
  std::string_view detail_end;  ///< the detail is what follows up to this; "" if there is none
};
constexpr Phrase kPhrases[] = {
    {"failed finding central directory", Symptom::CutArchive, ""},
    {"not a ZIP archive", Symptom::CutArchive, ""},
    {"File is not a zip file", Symptom::CutArchive, ""},
    {"invalid header or archive is corrupted", Symptom::DamagedArchive, ""},
    {"archive is corrupted", Symptom::DamagedArchive, ""},
    {"Bad CRC-32 for file", Symptom::DamagedArchive, ""},
    {"invalid load key, '", Symptom::LoadKey, "'"},
    {"Invalid magic number", Symptom::BadMagic, ""},
    {"unexpected EOF", Symptom::EarlyEnd, ""},
    {"Ran out of input", Symptom::EarlyEnd, ""},
    {"pickle data was truncated", Symptom::EarlyEnd, ""},
    {"pickle exhausted before seeing STOP", Symptom::EarlyEnd, ""},
    {"storage has wrong size", Symptom::StorageSize, ""},
    {"storage has wrong byte size", Symptom::StorageSize, ""},
    {"HeaderTooLarge", Symptom::BadHeader, ""},
    {"HeaderTooSmall", Symptom::BadHeader, ""},
    {"header too large", Symptom::BadHeader, ""},
    {"InvalidHeader", Symptom::BadHeader, ""},
    {"MetadataIncompleteBuffer", Symptom::BadHeader, ""},
    {"incomplete metadata, file not fully covered", Symptom::BadHeader, ""},
    {"failed locating file constants.pkl", Symptom::StateDictToJit, ""},
    {"constants.pkl: file not found", Symptom::StateDictToJit, ""},
    {"received a file from `torch.save()`", Symptom::StateDictToJit, ""},
    {"Unknown pickler class id", Symptom::StateDictToJit, ""},
    {"No module named '__torch__'", Symptom::ArchiveToPickle, ""},
    {"zip file that looks like a TorchScript archive", Symptom::ArchiveToPickle, ""},
    {"Cannot use ``weights_only=True`` with TorchScript archives", Symptom::ArchiveToPickle, ""},
    {"Expected state_dict to be dict-like, got <class '", Symptom::ObjectNotDict, "'"},
    {"OrderedDict' object has no attribute '", Symptom::DictNotModule, "'"},
    {"'dict' object has no attribute '", Symptom::DictNotModule, "'"},
    {"expected scalar type ", Symptom::OtherDType, "("},
    {"must have the same dtype", Symptom::OtherDType, ""},
    {"should be the same", Symptom::OtherDType, ""},
    {"mismatched dtypes", Symptom::OtherDType, ""},
};

/// The words around a find, from `begin`: enough to know them again.
std::string excerpt(std::string_view text, std::size_t begin, std::size_t count) {
  return base::to_valid_utf8(text.substr(begin, std::min(kExcerptBytes, count)));  // the cut may part a character
}

void read_phrase(std::string_view text, const Phrase& phrase, TextFacts& facts) {
  Scanner in(text);
  if (!in.find(phrase.words) || facts.find(phrase.symptom) != nullptr) return;
  const std::size_t end = in.position();
  std::string detail;
  if (!phrase.detail_end.empty()) detail = in.until(phrase.detail_end, kMaxDetailBytes).value_or("");
  facts.sightings.push_back(
      {phrase.symptom, detail, excerpt(text, end - phrase.words.size(), phrase.words.size() + detail.size())});
}

/// `'ResNet' object has no attribute 'copy'` (a module given to load_state_dict) and `'Adam' object is not
/// subscriptable`.
void read_wrong_objects(std::string_view text, TextFacts& facts) {
  for (const std::string_view words : {"' object has no attribute 'copy'", "' object is not subscriptable"}) {
    const auto found = text.find(words);
    if (found == std::string_view::npos || facts.find(Symptom::ObjectNotDict) != nullptr) continue;
    const auto quote = text.rfind('\'', found == 0 ? 0 : found - 1);
    if (quote == std::string_view::npos || found - quote > kMaxDetailBytes) continue;
    const std::string name(text.substr(quote + 1, found - quote - 1));
    if (name == "NoneType" || name == "int" || name == "float" || name == "method") continue;
    facts.sightings.push_back({Symptom::ObjectNotDict, name, excerpt(text, quote, name.size() + 1 + words.size())});
  }
}

/// `KeyError: 'state_dict'`: the program asked the loaded dict for a part. Names with dots are other stories.
void read_key_errors(std::string_view text, TextFacts& facts) {
  for (Scanner in(text); in.find("KeyError: ");) {
    const std::size_t start = in.position();
    const auto key = in.quoted();
    if (!key || key->empty() || key->find_first_of(".\"/:") != std::string::npos) continue;
    if (facts.find(Symptom::AbsentMember) != nullptr) return;
    facts.sightings.push_back({Symptom::AbsentMember, *key, "KeyError: " + excerpt(text, start, key->size() + 2)});
  }
}

}  // namespace

void recognise_symptoms(std::string_view text, TextFacts& facts) {
  for (const Phrase& phrase : kPhrases) read_phrase(text, phrase, facts);
  read_wrong_objects(text, facts);
  read_key_errors(text, facts);
}

}  // namespace tenon::diagnosis
