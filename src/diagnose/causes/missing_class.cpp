// missing_class: unpickling, or building from a description, needs a class, module or operator that is not there.
//
// A pickle names classes by module and name; a layer's description names them by a registry. The program that reads
// must have them under the same name. Where the name belongs to PyTorch itself, the versions differ (version_drift).
#include "diagnose/reading.hpp"
#include "diagnose/rules.hpp"

namespace tenon::diagnosis {
namespace {

constexpr std::string_view kPickled =
    "a pickle stores a class by its module and name, never its code; both must be importable where it is read";
constexpr std::string_view kBetter =
    "import or define it there, or save the state dict instead of the object: tenon reads the tensors without the "
    "class    tenon convert FILE out.safetensors --drop-objects";

constexpr Reading kReadings[] = {
    {Symptom::AbsentClass, 0.93, "the file needs a class or function that the program does not have: `%`", kPickled,
     kBetter},
    {Symptom::AbsentModule, 0.93, "the file needs a Python module that is not there: `%`", kPickled, kBetter},
    {Symptom::AbsentOperator, 0.9, "the archive's code calls an operator that is not registered: `%`",
     "TorchScript stores calls by operator name; the library that registers it is not linked or loaded",
     "link and load the extension library before the archive is read"},
};

/// A refused global is also a class that the reader does not know: then the pickle's safety is the cause, not this.
bool is_refused(const TextFacts& text) {
  return text.find(Symptom::UnsafePickle) != nullptr && text.find(Symptom::AbsentModule) == nullptr;
}

}  // namespace

std::optional<Finding> find_missing_class(const Case& facts) {
  if (facts.text == nullptr || is_refused(*facts.text) || facts.text->find(Symptom::ArchiveToPickle) != nullptr)
    return std::nullopt;
  return read_sightings(facts, kReadings);
}

}  // namespace tenon::diagnosis
