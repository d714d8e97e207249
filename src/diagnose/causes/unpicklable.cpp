// unpicklable: saving fails because an object cannot be written: a local function or class, a lock, a generator, a
// hook, a layer that does not describe itself.
#include "diagnose/reading.hpp"
#include "diagnose/rules.hpp"

namespace tenon::diagnosis {
namespace {

constexpr std::string_view kStateDict = "save the state dict: torch.save(model.state_dict(), path)";

constexpr Reading kReadings[] = {
    {Symptom::LocalObject, 0.95, "the object holds a function or class that was defined inside a function: `%`",
     "pickle stores functions and classes by their importable name; a local one, a lambda or a hook has none",
     kStateDict},
    {Symptom::Unpicklable, 0.93, "the object holds something that pickle cannot write: %",
     "locks, generators, open files, streams and replaced classes have no form on disk", kStateDict},
    {Symptom::NotScriptable, 0.85, "the module holds what TorchScript cannot write",
     "only scripted code and registered attributes go into an archive",
     "script the part, or keep it out with torch.jit.ignore or torch.jit.unused"},
    {Symptom::NoConfig, 0.88, "the model has a layer that does not describe itself",
     "Keras rebuilds a model from each layer's get_config(); a layer with arguments of its own has to give them",
     "write get_config() for the layer, or save the weights only: model.save_weights(path)"},
    {Symptom::NotJson, 0.85, "an option of the model or its description cannot be written as JSON",
     "configurations are stored as JSON: plain numbers, texts, lists and mappings",
     "make the option a plain number or text"},
};

}  // namespace

std::optional<Finding> find_unpicklable(const Case& facts) {
  if (facts.text != nullptr && facts.text->find(Symptom::UnsafePickle) != nullptr) return std::nullopt;
  return read_sightings(facts, kReadings);
}

}  // namespace tenon::diagnosis
